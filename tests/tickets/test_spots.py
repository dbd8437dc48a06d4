"""What is stored of a place is what would be found by taking it apart again."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from assistant.city import City
from assistant.tickets import spots as module
from assistant.tickets.model import NO_PLACE
from assistant.tickets.place_keys import spot_of
from assistant.tickets.spots import Spots

ROWS = [json.loads(line) for line in (Path(__file__).parent / "data" / "pairs.jsonl").read_text("utf-8").splitlines()]
REPORTS = [(report["place"], report["text"]) for row in ROWS for report in (row["a"], row["b"])]


@pytest.mark.parametrize(("place", "text"), Random(3).sample(REPORTS, 60))
def test_stored_and_read_is_the_same(city: City, place: str | None, text: str) -> None:
    taken_apart = spot_of(place, text, city.resolve_place, districts=city.district_words)
    stored = json.loads(json.dumps(Spots(city).storable(taken_apart)))
    assert Spots(city).of(place, text, stored) == taken_apart


def test_what_is_stored_spares_the_work_and_only_while_nothing_has_changed(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    spots, place = Spots(city), "金水区花园路85号院"
    stored = json.loads(json.dumps(spots.storable(replace(spots.of(place, "停水了"), district="另一个区"))))
    assert Spots(city).of(place, "停水了", stored).district == "另一个区"
    assert Spots(city).of(place, "停水了", stored | {"made_by": "an older version"}).district == "金水区"
    monkeypatch.setattr(city.gazetteer, "digest", b"other places")
    assert Spots(city).made_by != spots.made_by
    assert Spots(city).of(place, "停水了", stored).district == "金水区"


def test_no_place_is_like_none_given(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    spots = Spots(city)
    found = spots.of(NO_PLACE, "孟津路15号门前的化粪池满了")
    monkeypatch.setattr(module, "spot_of", None)  # it would fail if asked again
    assert spots.of(None, "孟津路15号门前的化粪池满了") is spots.of("", "孟津路15号门前的化粪池满了") is found
