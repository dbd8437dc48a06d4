from pathlib import Path

import pytest

from assistant.city import City

DEMO = Path(__file__).resolve().parents[2] / "city" / "demo"


@pytest.fixture(scope="session")
def city() -> City:
    return City.load(DEMO)
