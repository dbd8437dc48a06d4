"""The shipped model, loaded once for all tests of this room."""

from pathlib import Path

import pytest

from nlu.runtime import Reader

MODEL = Path(__file__).resolve().parents[2] / "models" / "nlu"


@pytest.fixture(scope="session")
def model_dir() -> Path:
    return MODEL


@pytest.fixture(scope="session")
def reader() -> Reader:
    return Reader.load(MODEL)
