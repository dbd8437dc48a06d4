"""Runs `tests/engine/inside/` in Rasa's environment, which has no pytest; each of its tests is one here."""

import ast
import json
import os
import subprocess
from pathlib import Path

import pytest

from assistant.settings import PROJECT_ROOT

pytestmark = pytest.mark.engine
INSIDE = Path(__file__).parent / "inside"
NAMES = [
    f"tests.engine.inside.{file.stem}.{group.name}.{test.name}"
    for file in sorted(INSIDE.glob("test_*.py"))
    for group in ast.parse(file.read_text(encoding="utf-8")).body
    if isinstance(group, ast.ClassDef)
    for test in group.body
    if isinstance(test, ast.FunctionDef) and test.name.startswith("test_")
]


@pytest.fixture(scope="module")
def outcomes(engine_python: Path) -> dict[str, str]:
    """Each test's outcome, all run in one process."""
    done = subprocess.run(
        [engine_python, "-m", "tests.engine.inside"],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outcomes: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return outcomes


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.removeprefix("tests.engine.inside."))
def test_inside_rasas_environment(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == "ok", outcomes[name]
