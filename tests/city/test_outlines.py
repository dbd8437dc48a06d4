"""Coordinates, on a made-up city of two squares side by side (longitudes 113 to 115, latitudes 34 to 35)."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from assistant.city import City
from assistant.errors import ConfigError
from assistant.outlines import Outlines, read_outlines
from tests.city.conftest import DEMO

WEST, EAST = "金水区", "中牟县"
DISTRICTS = (WEST, EAST, "惠济区")


def square(left: float, right: float, low: float = 34.0, high: float = 35.0) -> list[list[list[float]]]:
    return [[[left, low], [right, low], [right, high], [left, high], [left, low]]]


def feature(district: Any, rings: Any, kind: str = "Polygon") -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"district": district},
        "geometry": {"type": kind, "coordinates": rings},
    }


def written(folder: Path, *features: Any) -> Path:
    path = folder / "districts.geojson"
    text = json.dumps({"type": "FeatureCollection", "features": list(features)}, ensure_ascii=False, indent=1)
    path.write_text(text, encoding="utf-8")
    return path


def outlines(folder: Path, *features: Any) -> Outlines:
    found = read_outlines(written(folder, *features), DISTRICTS)
    assert found is not None
    return found


@pytest.fixture
def two(tmp_path: Path) -> Outlines:
    return outlines(tmp_path, feature(WEST, square(113, 114)), feature(EAST, square(114, 115)))


@pytest.fixture
def drawn_city(tmp_path: Path) -> City:
    folder = tmp_path / "city"
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("policies"))
    written(folder, feature(WEST, square(113, 114)), feature(EAST, square(114, 115)))
    return City.load(folder)


@pytest.mark.parametrize(
    ("lat", "long", "district"),
    [
        (34.5, 113.5, WEST),
        (34.5, 114.5, EAST),
        (34.0, 113.0, WEST),
        (35.1, 113.5, None),
        (113.5, 34.5, None),
        (float("nan"), 113.5, None),
        (34.5, float("inf"), None),
    ],
)
def test_a_point_lies_in_its_district(two: Outlines, lat: float, long: float, district: str | None) -> None:
    assert two.district(lat, long) == district


def test_a_common_border_belongs_to_one_district(two: Outlines) -> None:
    assert two.district(34.5, 114.0) in (WEST, EAST)


def test_bounds_go_round_all_districts(two: Outlines) -> None:
    assert two.bounds == (113.0, 34.0, 115.0, 35.0)


def test_a_district_of_several_parts(tmp_path: Path) -> None:
    found = outlines(tmp_path, feature(WEST, [square(113, 113.2), square(113.8, 114)], "MultiPolygon"))
    assert [found.district(34.5, long) for long in (113.1, 113.5, 113.9)] == [WEST, None, WEST]


def test_without_a_file_there_are_no_outlines(tmp_path: Path) -> None:
    assert read_outlines(tmp_path / "districts.geojson", DISTRICTS) is None


CROSSED = [[[113, 34], [114, 35], [114, 34], [113, 35], [113, 34]]]
MISTAKES = [
    ([feature("金水", square(113, 114))], "district '金水' is not in city.yml"),
    ([{"type": "Feature"}], "is not in city.yml"),
    ([feature(WEST, square(113, 114)), feature(WEST, square(114, 115))], "金水区 is there twice"),
    ([feature(WEST, [[[113, 34], [114, 35]]], "LineString")], "no Polygon or MultiPolygon"),
    ([feature(WEST, [[[113, 34], [114, 35]]])], "broken coordinates"),
    ([feature(WEST, [[["a", "b"]] * 4])], "broken coordinates"),
    ([feature(WEST, [])], "the polygon is empty"),
    ([feature(WEST, [[[y, x] for x, y in square(113, 114)[0]]])], "latitude and longitude are swapped"),
    ([feature(WEST, square(12_600_000, 12_700_000, 4_000_000, 4_100_000))], "beyond the earth"),
    ([feature(WEST, CROSSED)], "crosses itself"),
    ([feature(WEST, square(113, 114)), feature(EAST, square(113.5, 115))], "中牟县 overlaps 金水区"),
    ([], "no features"),
]


@pytest.mark.parametrize(("features", "message"), MISTAKES)
def test_mistakes_name_the_file_and_the_remedy(tmp_path: Path, features: list[Any], message: str) -> None:
    path = written(tmp_path, *features)
    with pytest.raises(ConfigError) as caught:
        read_outlines(path, DISTRICTS)
    assert str(caught.value).startswith(f"{path}:") and message in str(caught.value)


def test_a_mistake_names_the_line_of_its_district(tmp_path: Path) -> None:
    path = written(tmp_path, feature(WEST, square(113, 114)), feature("某区", square(114, 115)))
    line = path.read_text(encoding="utf-8").splitlines().index('    "district": "某区"') + 1
    with pytest.raises(ConfigError, match=rf":{line}: feature 2: district '某区'"):
        read_outlines(path, DISTRICTS)


@pytest.mark.parametrize(
    ("content", "message"), [(b"{", "not valid JSON"), (b"[]", "no features"), ("区".encode("gbk"), "not UTF-8")]
)
def test_what_is_no_geojson_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "districts.geojson"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_outlines(path, DISTRICTS)


def test_coordinates_resolve_to_a_place_of_the_city(drawn_city: City) -> None:
    place = drawn_city.locate(34.5, 114.5)
    assert place is not None and place.grid_path == ("郑州市", EAST) and place.district == EAST
    assert drawn_city.locate(30, 120) is None


def test_coordinates_that_cannot_be_are_explained(drawn_city: City) -> None:
    assert drawn_city.coordinate_problem(34.5, 113.5) is None
    assert "填反" in (drawn_city.coordinate_problem(113.5, 34.5) or "")
    assert "不在郑州市范围内" in (drawn_city.coordinate_problem(30, 120) or "")


def test_without_outlines_the_bounds_still_find_what_is_wrong(city: City) -> None:
    assert city.bounds is not None and city.locate(34.75, 113.66) is None
    assert city.coordinate_problem(34.75, 113.66) is None
    assert "填反" in (city.coordinate_problem(113.66, 34.75) or "")
    assert "不在郑州市范围内" in (city.coordinate_problem(39.9, 116.4) or "")


def test_words_decide_before_coordinates(drawn_city: City) -> None:
    assert drawn_city.find_place(None, "", 34.5, 114.5).district == EAST
    assert drawn_city.find_place("我们小区3号楼", "", 34.5, 114.5).text == "我们小区3号楼"
    agreeing = drawn_city.find_place("中牟县", "", 34.5, 114.5)
    assert agreeing.district == EAST and agreeing.contradicted_by is None
    told = drawn_city.find_place("金水区花园路", "", 34.5, 114.5)
    assert told.district == WEST and told.contradicted_by == EAST
    assert drawn_city.find_place(None, "我在惠济这边的一个幼儿园", 34.5, 114.5).contradicted_by == EAST
