from pathlib import Path

import pytest

from assistant.city import City
from assistant.db.session import Database
from assistant.returns.service import Learning
from kb.words import words
from tests.returns.material import Desk, write_city


@pytest.fixture
def city_dir(tmp_path: Path) -> Path:
    return write_city(tmp_path / "city")


@pytest.fixture
def city(city_dir: Path) -> City:
    """One of its own for every test: what was learned changes it."""
    return City.load(city_dir)


@pytest.fixture
def learning(db: Database, city: City, city_dir: Path) -> Learning:
    return Learning(db, city, city_dir, words)


@pytest.fixture
def desk(db: Database, city: City) -> Desk:
    return Desk(db, city)
