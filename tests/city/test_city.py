import csv
import shutil
from datetime import date
from pathlib import Path

import pytest

from assistant.city import TEXT_VALUES, City
from assistant.errors import ConfigError
from tests.city.conftest import DEMO


def test_demo_city_holds_what_the_dialogue_counts_on(city: City) -> None:
    assert city.name == "郑州市" and city.hotline == "12345"
    assert len(city.level1) == 15
    assert len(city.categories) == 118 and len({level2 for _, level2 in city.categories}) == 103
    assert len(city.services) == len(city.categories)
    assert all(code.isascii() for code in city.services)
    assert len(city.replies) >= 40
    assert city.gazetteer.communities > 3000


def test_categories_are_those_of_the_real_classification(city: City, data_folder: Path) -> None:
    with (data_folder / "hotline" / "taxonomy_3level.csv").open(encoding="utf-8") as file:
        real = {(row["level1"], row["level2"]) for row in csv.DictReader(file)}
    assert set(city.categories) == real


def test_category_falls_back_to_other(city: City) -> None:
    known = city.category("民政", "社会救助")
    fallback = city.category("民政", "没有这个")
    assert known is not None and known.level2 == "社会救助"
    assert fallback is not None and fallback.level2 == "其他"
    assert city.category("没有这个") is None


@pytest.mark.parametrize("key", sorted(TEXT_VALUES))
def test_every_text_can_be_shown_with_its_values(city: City, key: str) -> None:
    shown = city.text(key, **{name: f"<{name}>" for name in TEXT_VALUES[key]})
    assert shown and "{" not in shown


def test_a_value_with_braces_stays_what_it_is(city: City) -> None:
    assert "{number.__class__}" in city.text("ticket_withdrawn", number="{number.__class__}")


@pytest.mark.parametrize(
    "key", [key for key in sorted(TEXT_VALUES) if key.startswith("danger_") and key != "danger_followup"]
)
def test_danger_texts_say_whom_to_call_first(city: City, key: str) -> None:
    text = city.text(key)
    assert any(number in text for number in ("119", "110", "120", "95598"))


@pytest.mark.parametrize(
    ("day", "working"),
    [
        (date(2026, 11, 20), True),  # Friday
        (date(2026, 11, 21), False),  # Saturday
        (date(2026, 1, 1), False),  # holiday on a Thursday
        (date(2026, 1, 4), True),  # make-up Sunday
        (date(2026, 2, 14), True),  # make-up Saturday
        (date(2026, 2, 23), False),  # last day of Spring Festival, a Monday
        (date(2026, 10, 7), False),
        (date(2026, 10, 10), True),
        (date(2027, 1, 1), False),
    ],
)
def test_working_days(city: City, day: date, working: bool) -> None:
    assert city.is_working_day(day) is working


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "city"
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("policies"))
    return folder


QUALITY = "{name: 工程质量, code: quality, kind: event, deadline: hard"
OTHER = "{category: 环境保护/其他, owner: 市生态环境局, department: 生态环境分局"
MAKEUP = "  劳动节: [2026-05-09]"

# file, what stands there, what replaces it, what the error must say
MISTAKES = [
    ("categories.yml", QUALITY, QUALITY.replace("event", "thing"), "correct the value"),
    ("categories.yml", QUALITY, QUALITY.replace("quality", "质量"), "correct the value"),
    ("categories.yml", QUALITY, QUALITY.replace("hard", "soon"), "deadline class 'soon' is unknown"),
    ("categories.yml", QUALITY, QUALITY.replace("kind: event,", ""), "key 'kind' is missing: add it"),
    ("categories.yml", QUALITY, QUALITY + ", colour: red", "key 'colour' is unknown"),
    ("categories.yml", QUALITY, QUALITY.replace("quality", "village"), "'construction.village' is there twice"),
    ("categories.yml", QUALITY, QUALITY.replace("工程质量", "城乡规划"), "城乡建设/城乡规划 is there twice"),
    ("units.yml", "{name: 市林业局,", "{name: 市园林局,", "'市园林局' is there twice"),
    ("responsibility.yml", OTHER, OTHER.replace("市生态", "市"), "unit '市环境局' is unknown"),
    ("responsibility.yml", OTHER, OTHER.replace("/其他", "/别的"), "category '环境保护/别的' is unknown"),
    ("responsibility.yml", OTHER, OTHER.replace("生态环境分局", "环保科"), "department '环保科' is unknown"),
    ("responsibility.yml", "first_receiver: 市", "first_receiver: 省", "unit '省12345中心' is unknown"),
    ("responsibility.yml", "matter: 井盖,", "matter: 路灯,", "matter '路灯' is there twice"),
    ("responsibility.yml", "matter: 征兵, words:", "matter: 征兵, word:", "key 'word' is unknown"),
    ("responsibility.yml", "  gas: 城乡", "  gass: 城乡", "danger 'gass' is unknown"),
    ("responsibility.yml", "fire: 政法/社会治安", "fire: 政法/治安", "category '政法/治安' is unknown"),
    ("responsibility.yml", "threshold: 0.85", "threshold: 5", "threshold"),
    (
        "responsibility.yml",
        "handler: 小区物业",
        "handler: 某物业",
        "first handler '某物业服务企业' is no unit of kind social",
    ),
    ("responsibility.yml", "working_hours: 24, when", "working_hours: 24, hours: 24, when", "one of the two"),
    ("responsibility.yml", "working_hours: 24, when", "working_hours: -1, when", "greater than 0"),
    ("sayings.yml", "供水:", "用水:", "'用水' is no rule of responsibility.yml"),
    ("sayings.yml", "  clear: [过街天桥,", "  clear: [过街+,", "has an empty part"),
    ("city.yml", "bounds: [112.70, 34.26,", "bounds: [34.26, 112.70,", "latitude and longitude are swapped"),
    ("city.yml", "bounds: [112.70,", "bounds: [115.70,", "rising"),
    ("deadlines.yml", "{working_days: 7,", "{working_days: 7, hours: 3,", "exactly one of"),
    ("deadlines.yml", "{working_days: 7,", "{working_days: -7,", "greater than 0"),
    ("deadlines.yml", "特急], class: danger", "特急], class: peril", "deadline class 'peril' is unknown"),
    ("deadlines.yml", "- {class: general}", "- {urgency: [一般], class: general}", "last rule must have no condition"),
    ("calendar.yml", MAKEUP, "  劳动节: [2026-05-01]", "holiday and a make-up day"),
    ("calendar.yml", MAKEUP, "  劳动节: [2026-05-11]", "not a weekend"),
    ("calendar.yml", MAKEUP, "  劳动节: [五月九日]", "correct the value"),
    ("calendar.yml", 'working_hours:\n  - ["09:00"', 'working_hours:\n  - ["12:30"', "rising times"),
    ("city.yml", "Asia/Shanghai", "Asia/Zhengzhou", "time zone"),
    ("city.yml", 'name: 二七区, code: "03"', 'name: 二七区, code: "02"', "already used by district 中原区"),
    ("city.yml", "ticket_prefix: ZZ", "ticket_prefix: zhengzhou", "ticket_prefix"),
    ("texts.yml", "ticket_withdrawn: 工单 {number}", "ticket_withdrawn: 工单 {nummer}", "uses {nummer}"),
    ("texts.yml", "ticket_withdrawn: 工单 {number}", "ticket_withdrawn: 工单 {number", "wrong brace"),
    ("texts.yml", "ticket_withdrawn:", "ticket_accepted:", "written twice"),
    ("replies.yml", "category: 民政/社会救助", "category: 民政/救助", "category '民政/救助' is unknown"),
    ("gazetteer.csv", "惠济区,花园口镇,", "惠济,花园口镇,", "district '惠济' is not in city.yml"),
    ("gazetteer.csv", "惠济区,花园口镇,", "惠济区,花园口镇,多一列,", "fields instead of 5"),
    ("gazetteer.csv", "惠济区,花园口镇,", "惠济区,古荥镇,", "is there twice"),
    ("landmarks.csv", "二七广场,二七区,德化", "二七广场,二七区,德华", "street '德华街街道' is not in"),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), MISTAKES)
def test_mistakes_name_file_line_and_remedy(pack: Path, file: str, old: str, new: str, message: str) -> None:
    path = pack / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    line = text[: text.index(old)].count("\n") + 1
    with pytest.raises(ConfigError) as caught:
        City.load(pack)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert message in str(caught.value)


def test_a_category_without_a_rule_is_named(pack: Path) -> None:
    path = pack / "responsibility.yml"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "category: 民政/社会救助," not in line]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError, match="category 民政/社会救助 has no rule without matter: add one"):
        City.load(pack)


def test_a_missing_text_and_a_missing_file_are_named(pack: Path) -> None:
    path = pack / "texts.yml"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("ticket_closed:")]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"texts\.yml:\d+: text 'ticket_closed' is missing: add it"):
        City.load(pack)
    path.unlink()
    with pytest.raises(ConfigError, match=r"texts\.yml:1: the file is missing"):
        City.load(pack)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: [郑州", "not valid YAML"),
        ("", "the file is empty"),
        ("- 1\n- 2\n", "correct the value"),
        ("a: !!python/object:os.system x", "not valid YAML"),
    ],
)
def test_what_is_no_city_file_is_refused(pack: Path, content: str, message: str) -> None:
    (pack / "city.yml").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"city\.yml:\d+: .*{message}"):
        City.load(pack)


def test_a_file_that_is_not_utf8_is_refused(pack: Path) -> None:
    (pack / "units.yml").write_bytes("units: 郑州".encode("gbk"))
    with pytest.raises(ConfigError, match=r"units\.yml:1: the file is not UTF-8"):
        City.load(pack)
