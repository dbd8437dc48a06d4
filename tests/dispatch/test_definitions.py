"""The file of destinations and the city's choice among them: what they mean, and what is said about a mistake."""

from pathlib import Path

import pytest

from assistant.dispatch.choice import DestinationChoice
from assistant.dispatch.definitions import Destinations, build
from assistant.dispatch.destinations.log import LogDestination
from assistant.dispatch.destinations.open311 import Open311Destination
from assistant.dispatch.destinations.webhook import WebhookDestination
from assistant.errors import ConfigError
from tests.dispatch.test_with_tickets import CITY

FILE = """
city:
  kind: open311
  url: https://city.example/open311/v2
  api_key: {env: CITY_KEY}
  jurisdiction: zhengzhou.gov.cn
  format: xml
county:
  kind: open311
  url: https://county.example/v2
  secret: {file: secrets/county}
water:
  kind: webhook
  url: https://water.example/intake
  secret: {file: secrets/water}
heating:
  kind: webhook
  url: https://heating.example/intake
  secret: {env: HEATING}
  status_url: https://heating.example/states
"""
ENVIRONMENT = {"CITY_KEY": "k", "HEATING": "heating secret, long enough"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "water").write_text("water secret, long enough\n")
    (tmp_path / "secrets" / "county").write_text("county secret, long enough\n")
    (tmp_path / "secrets" / "empty").write_text("\n")
    return tmp_path


def read(folder: Path, text: str, environment: dict[str, str] = ENVIRONMENT) -> Destinations:
    path = folder / "destinations.yml"
    path.write_text(text)
    return build(LogDestination(), path, environment=environment)


async def test_several_of_each_kind_are_made(folder: Path) -> None:
    found = read(folder, FILE)
    kinds = {name: type(each) for name, each in found.items() if name not in ("desk", "log")}
    assert kinds == {
        "city": Open311Destination,
        "county": Open311Destination,
        "water": WebhookDestination,
        "heating": WebhookDestination,
    }
    assert set(found.pollable) == {"desk", "city", "county", "heating"}, "water reports by itself"
    assert found.secrets == {
        "county": "county secret, long enough",
        "water": "water secret, long enough",
        "heating": "heating secret, long enough",
    }
    assert "long enough" not in repr(found)
    await found.close()


def test_without_a_file_there_are_those_built_in() -> None:
    assert set(build(LogDestination(), None)) == {"desk", "log"}
    with_one = build(LogDestination(), None, open311=LogDestination())
    assert set(with_one) == {"desk", "log", "open311"} and "open311" in with_one.pollable


MISTAKES = [
    ("water: {kind: pigeon}", 1, "pigeon"),
    ("water: {kind: webhook, secret: {env: HEATING}}", 1, "url"),
    ("a: {kind: open311, url: https://a.example}\nwater: {kind: webhook, url: https://w.example}", 2, "secret"),
    ("water: {kind: webhook, url: ftp://w.example, secret: {env: HEATING}}", 1, "url"),
    ("water: {kind: webhook, url: https://w.example, secret: {env: HEATING, file: x}}", 1, "exactly one"),
    ("water: {kind: webhook, url: https://w.example, secret: plain text}", 1, "secret"),
    ("water:\n  kind: webhook\n  url: https://w.example\n  secret: {env: NOBODY}", 4, "NOBODY: set it"),
    ("water:\n  kind: webhook\n  url: https://w.example\n  secret: {env: CITY_KEY}", 4, "16 characters"),
    ("water:\n  kind: webhook\n  url: https://w.example\n  secret: {file: secrets/none}", 4, "cannot be read"),
    ("water:\n  kind: webhook\n  url: https://w.example\n  secret: {file: secrets/empty}", 4, "is empty"),
    ("city: {kind: open311, url: https://a.example, colour: red}", 1, "unknown"),
    ("desk: {kind: open311, url: https://a.example}", 1, "built in"),
    ("Big Name: {kind: open311, url: https://a.example}", 1, "Big Name"),
    ("city: {kind: open311, url: https://a.example, timeout_s: 0}", 1, "timeout_s"),
    ("- a\n- b", 1, "dict"),
]


@pytest.mark.parametrize(("text", "line", "words"), MISTAKES, ids=[words for _, _, words in MISTAKES])
def test_a_mistake_is_named_with_file_and_line(folder: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(folder, text)
    said = str(refused.value)
    assert said.startswith(f"{folder / 'destinations.yml'}:{line}: ") and words in said
    assert "plain text" not in said and "heating secret" not in said


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yml.*MINSHENG_DESTINATIONS"):
        build(LogDestination(), tmp_path / "none.yml")


# --- choice ---------------------------------------------------------------------------------------------------------

KNOWN = ("desk", "log", "water", "city")
CHOICE = """
default: city
rules:
  - {unit: 市水利局, to: water}
  - {unit: [市城市管理局, 金水区城市管理局], category: 环境保护, to: log}
  - {category: [城乡建设/城市建设和市政管理], to: desk}
"""


def choose(folder: Path, text: str, default: str = "") -> DestinationChoice:
    (folder / "dispatch.yml").write_text(text)
    return DestinationChoice.load(folder, CITY, KNOWN, default=default)


def test_the_first_rule_that_fits_decides(tmp_path: Path) -> None:
    choice = choose(tmp_path, CHOICE)
    assert choice("市水利局", "环境保护", "环境污染") == "water"
    assert choice("金水区城市管理局", "环境保护", None) == "log", "a district's department is a unit too"
    assert choice("金水区城市管理局", "城乡建设", "城市建设和市政管理") == "desk"
    assert choice("市公安局", "城乡建设", "工程质量") == "city"
    assert choose(tmp_path, CHOICE, default="log")("市公安局", "政法", None) == "log"
    assert choose(tmp_path, CHOICE, default="log")("市水利局", "政法", None) == "water"


def test_a_city_without_the_file_uses_the_desk(tmp_path: Path) -> None:
    assert DestinationChoice.load(tmp_path, CITY, KNOWN)("市水利局", "环境保护", None) == "desk"
    assert DestinationChoice.load(tmp_path, CITY, KNOWN, default="water")("市水利局", "环境保护", None) == "water"


def test_the_demo_city_uses_the_desk() -> None:
    from tests.conftest import ROOT

    assert DestinationChoice.load(ROOT / "city" / "demo", CITY, ("desk", "log")) == DestinationChoice("desk", ())


WRONG_CHOICES = [
    ("default: moon", 1, "'moon' is unknown"),
    ("rules:\n  - {unit: 市水利局, to: moon}", 2, "'moon' is unknown"),
    ("rules:\n  - {unit: 市水利局, to: desk}\n  - {to: desk}", 3, "unit or a category"),
    ("rules:\n  - {unit: 水务处, to: desk}", 2, "水务处"),
    ("rules:\n  - {category: 环境保护/噪声, to: desk}", 2, "环境保护/噪声"),
    ("rules:\n  - {category: 环境, to: desk}", 2, "环境"),
    ("rules:\n  - {place: 金水区, to: desk}", 2, "unknown"),
    ("default: desk\ndefault: log", 2, "twice"),
]


@pytest.mark.parametrize(("text", "line", "words"), WRONG_CHOICES, ids=range(len(WRONG_CHOICES)))
def test_a_wrong_choice_is_named_with_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        choose(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'dispatch.yml'}:{line}: ") and words in str(refused.value)


def test_an_unknown_destination_of_the_settings_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="MINSHENG_DISPATCH_DESTINATION is 'moon'"):
        DestinationChoice.load(tmp_path, CITY, KNOWN, default="moon")
