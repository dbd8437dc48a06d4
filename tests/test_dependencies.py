"""What the application imports is in its own list: the tests' environment has more, and would not notice."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("assistant", "kb", "actions", "channels")


def imported_on_loading(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


def test_every_package_that_the_application_imports_is_installed_with_it() -> None:
    lines = (ROOT / "requirements" / "app.txt").read_text(encoding="utf-8").splitlines()
    listed = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines if "==" in line}
    known = packages_distributions()
    missing = {}
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            for name in imported_on_loading(file) - set(sys.stdlib_module_names) - {*ROOMS, "nlu"}:
                names = {re.sub(r"[-_.]+", "-", one).lower() for one in known.get(name, [name])}
                if not names & listed:
                    missing[name] = str(file.relative_to(ROOT))
    assert len(listed) > 30 and not missing
