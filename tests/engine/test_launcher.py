"""The launcher as a command: defaults, refusals, and Rasa's own checks on the tiny project."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from assistant.settings import PROJECT_ROOT
from nlu import labels
from tests.engine.conftest import PYTHON, TINY, Rasa

pytestmark = pytest.mark.engine


@pytest.fixture
def tiny_project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "project"))


def test_rasas_api_is_refused(rasa: Rasa) -> None:
    done = rasa("run", "--enable-api")
    assert done.returncode != 0
    assert "--enable-api is refused" in done.stderr


def test_help_shows_our_defaults_and_no_warning_of_old_libraries(rasa: Rasa) -> None:
    done = rasa("run", "--help")
    assert done.returncode == 0
    words = " ".join(done.stdout.split())
    assert "default: 127.0.0.1" in words
    assert "default: engine/models" in words
    assert done.stderr == ""


def test_telemetry_is_off_whatever_the_user_set(rasa: Rasa, tiny_project: Path) -> None:
    done = rasa("telemetry", cwd=tiny_project, RASA_TELEMETRY_ENABLED="true")
    assert "currently disabled" in done.stdout


def test_a_component_that_needs_tensorflow_says_so(rasa: Rasa, tiny_project: Path) -> None:
    config = yaml.safe_load((tiny_project / "config.yml").read_text())
    config["policies"].append({"name": "TEDPolicy", "epochs": 1})
    (tiny_project / "config.yml").write_text(yaml.safe_dump(config))
    story = {"story": "hello", "steps": [{"intent": "greet"}, {"action": "utter_greet"}]}
    stories = tiny_project / "training_data" / "stories.yml"
    stories.write_text(yaml.safe_dump({"version": "3.1", "stories": [story]}))
    done = rasa("train", "--skip-validation", cwd=tiny_project)
    assert done.returncode != 0
    assert "make engine-tensorflow" in done.stdout + done.stderr


def test_rules_that_contradict_each_other_are_refused(rasa: Rasa, tiny_project: Path) -> None:
    with (tiny_project / "training_data" / "rules.yml").open("a") as rules:
        rules.write("  - rule: greet otherwise\n    steps: [{intent: greet}, {action: action_place}]\n")
    done = rasa("train", "--skip-validation", cwd=tiny_project)
    assert done.returncode != 0
    assert "Contradicting rules" in done.stdout + done.stderr


def _language_model(folder: Path, intents: list[str]) -> Path:
    folder.mkdir()
    config = {"version": "test", "heads": {"intent": {"labels": intents}}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def project_with_reader(tiny_project: Path) -> Path:
    domain = tiny_project / "domain.yml"
    config = yaml.safe_load((tiny_project / "config.yml").read_text())
    config["pipeline"] = [{"name": "nlu.rasa_component.ReaderComponent", "domain": str(domain)}]
    (tiny_project / "config.yml").write_text(yaml.safe_dump(config))
    return tiny_project


def test_intents_unknown_to_the_language_model_are_named(rasa: Rasa, project_with_reader: Path, tmp_path: Path) -> None:
    model = _language_model(tmp_path / "reader", ["greet", "inform_place", "affirm"])
    done = rasa("train", "--skip-validation", cwd=project_with_reader, MINSHENG_NLU_MODEL_DIR=str(model))
    assert done.returncode != 0
    assert "does not know: ask_form, fail, inform_role" in done.stdout + done.stderr


def test_a_missing_language_model_is_reported_with_its_remedy(
    rasa: Rasa, project_with_reader: Path, tmp_path: Path
) -> None:
    done = rasa("train", "--skip-validation", cwd=project_with_reader, MINSHENG_NLU_MODEL_DIR=str(tmp_path / "none"))
    assert done.returncode != 0
    assert "Run: make train" in done.stdout + done.stderr


def test_an_archive_holds_neither_code_nor_pickles(rasa: Rasa, project_with_reader: Path, tmp_path: Path) -> None:
    model = _language_model(tmp_path / "reader", ["greet", "inform_place", "fail", "ask_form", "inform_role"])
    done = rasa(
        *("train", "--skip-validation", "--fixed-model-name", "archive"),
        cwd=project_with_reader,
        MINSHENG_NLU_MODEL_DIR=str(model),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with tarfile.open(project_with_reader / "engine" / "models" / "archive.tar.gz") as archive:
        files = [member.name for member in archive.getmembers() if member.isfile()]
    assert files
    assert {Path(name).suffix for name in files} <= {".json", ".yml"}


def test_the_readers_runtime_loads_beside_rasas_old_numpy() -> None:
    program = "import json, numpy, nlu.runtime as r; print(json.dumps([numpy.__version__, r.labels.INTENTS]))"
    done = subprocess.run([PYTHON, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    version, intents = json.loads(done.stdout)
    assert version.startswith("1.23.")
    assert tuple(intents) == labels.INTENTS
