from pathlib import Path

import pytest

from assistant.city import City
from assistant.settings import Settings
from nlu.runtime import Reader
from nlu.trial import Trainer
from tests.additions.material import write_training_data


@pytest.fixture(scope="session")
def shipped() -> Reader:
    return Reader.load(Settings().nlu_model_dir)


@pytest.fixture(scope="session")
def training_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_data(tmp_path_factory.mktemp("taught") / "training_data")


@pytest.fixture(scope="session")
def trainer(training_data: Path) -> Trainer:
    """Shared, so that the sentences are read once."""
    return Trainer(training_data, training_data.parent / "cache")


@pytest.fixture
def city() -> City:
    """One of its own for every test: additions change it."""
    return City.load(Settings().city_dir)
