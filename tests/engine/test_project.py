"""The project as Rasa sees it: validated, trained and tested by Rasa's own commands, with their failing flags."""

import json
import tarfile
from pathlib import Path

import pytest
import yaml

from assistant.settings import PROJECT_ROOT
from tests.engine.conftest import Rasa

pytestmark = pytest.mark.engine
STORIES = PROJECT_ROOT / "tests" / "dialogue" / "test_stories.yml"


def test_domain_and_training_data_are_valid(rasa: Rasa) -> None:
    done = rasa("data", "validate", "--fail-on-warnings")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_the_trained_model_knows_the_reader_and_holds_no_code(project_model: Path) -> None:
    with tarfile.open(project_model) as archive:
        files = [member.name for member in archive.getmembers() if member.isfile()]
        record = next(name for name in files if name.endswith("model.json"))
        member = archive.extractfile(record)
        assert member is not None
        trained_with = json.load(member)
    assert {Path(name).suffix for name in files} <= {".json", ".yml"}
    reader = json.loads((PROJECT_ROOT / "models" / "nlu" / "config.json").read_text(encoding="utf-8"))
    assert trained_with["model_version"] == reader["version"]


def test_the_test_stories_pass(rasa: Rasa, project_model: Path, tmp_path: Path) -> None:
    stories = yaml.safe_load(STORIES.read_text(encoding="utf-8"))["stories"]
    done = rasa(
        *("test", "core", "--e2e", "--fail-on-prediction-errors", "--no-plot"),
        *("--model", project_model, "--stories", STORIES, "--out", tmp_path),
        TQDM_DISABLE="1",
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    # A file that Rasa does not take for test stories runs nothing and passes.
    report = json.loads((tmp_path / "story_report.json").read_text())
    assert report["conversation_accuracy"]["total"] == len(stories) > 0
    assert report["conversation_accuracy"]["correct"] == len(stories)


def test_the_reader_answers_in_rasas_pipeline(rasa: Rasa, project_model: Path, tmp_path: Path) -> None:
    """A few words for each intent through the whole pipeline; how well the model reads is tested in tests/nlu."""
    examples = PROJECT_ROOT / "training_data" / "nlu"
    taken: dict[str, list[str]] = {}
    for file in sorted(examples.glob("*.yml")):
        for entry in yaml.safe_load(file.read_text(encoding="utf-8"))["nlu"]:
            lines = [line.removeprefix("- ") for line in entry.get("examples", "").splitlines()]
            taken.setdefault(entry["intent"], []).extend(lines[:4])
    taken.pop("nlu_fallback", None)
    nlu = tmp_path / "nlu.yml"
    content = [{"intent": name, "examples": "".join(f"- {x}\n" for x in lines)} for name, lines in taken.items()]
    nlu.write_text(yaml.safe_dump({"version": "3.1", "nlu": content}, allow_unicode=True), encoding="utf-8")
    out = tmp_path / "results"
    done = rasa("test", "nlu", "--no-plot", "--model", project_model, "--nlu", nlu, "--out", out, TQDM_DISABLE="1")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads((out / "intent_report.json").read_text())
    assert set(taken) <= set(report)
    assert report["accuracy"] > 0.9
