"""Rasa's own checks of the dialogue: the data is consistent, and every test story goes as written."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from actions.engine_api import action_handlers
from assistant.settings import PROJECT_ROOT
from nlu.extend import CITY_QUESTION
from nlu.labels import FALLBACK, INTENTS
from tests.dialogue.conftest import PYTHON

pytestmark = pytest.mark.engine
STORIES = Path(__file__).parent / "test_stories.yml"


def rasa(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    launcher = PROJECT_ROOT / "engine" / "launcher.py"
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    return subprocess.run(
        [PYTHON, launcher, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def test_the_data_is_consistent(dialogue_project: Path) -> None:
    checked = rasa("data", "validate", "--fail-on-warnings", "--data", "training_data", cwd=dialogue_project)
    assert checked.returncode == 0, checked.stderr[-3000:]
    assert "No story structure conflicts found" in checked.stdout + checked.stderr


def _test_core(project: Path, model: Path, stories: Path) -> "subprocess.CompletedProcess[str]":
    return rasa(
        *("test", "core", "--e2e", "--fail-on-prediction-errors", "--no-plot"),
        *("--stories", stories, "--model", model, "--out", project / "results"),
        cwd=project,
    )


def test_every_story_goes_as_written(dialogue_project: Path, dialogue_model: Path) -> None:
    tested = _test_core(dialogue_project, dialogue_model, STORIES)
    assert tested.returncode == 0, (tested.stdout + tested.stderr)[-3000:]
    count = len(yaml.safe_load(STORIES.read_text())["stories"])
    assert f"Evaluating {count} stories" in tested.stdout + tested.stderr


def test_a_wrong_story_is_noticed(dialogue_project: Path, dialogue_model: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "test_wrong.yml"
    steps = [{"intent": "request_human"}, {"action": "action_greet"}]
    wrong.write_text(yaml.safe_dump({"version": "3.1", "stories": [{"story": "wrong", "steps": steps}]}))
    assert _test_core(dialogue_project, dialogue_model, wrong).returncode != 0


def test_the_domain_names_what_exists() -> None:
    domain = yaml.safe_load((PROJECT_ROOT / "domain.yml").read_text())
    assert set(domain["intents"]) == {*INTENTS, FALLBACK, CITY_QUESTION}
    assert set(domain["actions"]) == set(action_handlers())
    said = "".join(path.read_text() for path in (PROJECT_ROOT / "training_data" / "rules").glob("*.yml"))
    said += "".join(path.read_text() for path in (PROJECT_ROOT / "actions").glob("*.py"))
    for name in domain["responses"]:
        wanted = name.startswith("utter_") and name.endswith("_wanted")
        # utter_default is Rasa's own; `utter_<slot>_wanted` is put together from the slot's name.
        assert name in said or name == "utter_default" or wanted, f"nobody says {name}"


def test_no_slot_is_filled_by_rasa() -> None:
    """`from_text` takes "取消" for an address; every slot is filled by our own validation."""
    slots = yaml.safe_load((PROJECT_ROOT / "domain.yml").read_text())["slots"]
    for name, slot in slots.items():
        assert slot["mappings"] == [{"type": "custom"}], name
        assert slot["type"] == "any" or slot["influence_conversation"] is False, name
