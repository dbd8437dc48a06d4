"""The trial on the frozen test set."""

from pathlib import Path

import pytest

from assistant.city import City
from assistant.errors import ConfigError
from assistant.returns.model import Change, learning
from assistant.returns.trial import FILE, Figures, TestCase, read_cases, try_out, with_changes
from tests.returns.build import case
from tests.returns.material import DOGS, POLICE

GOOD = Change("words", "养犬", "城乡建设/城市建设和市政管理", ("遛狗", "牵绳", "大狼狗"))
BAD = Change("words", "养犬", "城乡建设/城市建设和市政管理", ("垃圾", "清运", "臭气熏天", "清运不及时"))


def tried(city: City, cases: list[TestCase], change: Change) -> dict[str, object]:
    after = with_changes(city, learning([change], city))
    return try_out(city, after, cases, [case("ZZ1", DOGS[0], POLICE)]).as_dict()


def test_what_gets_better_and_worse_is_named(city: City, city_dir: Path) -> None:
    cases = read_cases(city_dir / FILE)
    good = tried(city, cases, GOOD)
    assert (good["better"], good["worse"], good["is_worse"]) == (["own-004"], [], False)
    assert good["returned"] == [
        {"number": "ZZ1", "ruled": POLICE, "before": good["returned"][0]["before"], "after": POLICE}  # type: ignore[index]
    ]
    bad = tried(city, cases, BAD)
    assert "own-002" in bad["worse"] and bad["is_worse"]  # type: ignore[operator]


def test_a_trial_leaves_the_city_as_it_is(city: City, city_dir: Path) -> None:
    revision, matrix = city.revision, city.matrix
    tried(city, read_cases(city_dir / FILE), GOOD)
    assert city.matrix is matrix and city.revision == revision


def test_changes_live_beside_what_staff_taught(city: City) -> None:
    own = len(city.matrix.rules)
    added = city.matrix.rules[0].model_copy(update={"matter": "教过的事", "words": ("无人机",)})
    city.set_learned(learning([GOOD], city))
    city.set_added([], [added])
    assert len(city.matrix.rules) == own + 1
    [dogs] = [rule for rule in city.matrix.rules if rule.matter == "养犬"]
    assert dogs.words == ("犬证", "遛狗", "牵绳", "大狼狗")
    city.set_learned(learning([], city))
    assert [rule.words for rule in city.matrix.rules if rule.matter == "养犬"] == [("犬证",)]
    assert city.matrix.rules[-1].matter == "教过的事"


def test_a_change_of_what_the_city_no_longer_has_is_left_out(city: City) -> None:
    gone = Change("words", "没有的事项", "供水", ("新词",))
    foreign = Change("rule", "养犬", "供水", ("新词",), "没有/这类")
    assert not gone.fits(city) and not foreign.fits(city)
    city.set_learned(learning([gone, foreign], city))
    assert not any("新词" in rule.words for rule in city.matrix.rules)


@pytest.mark.parametrize(
    ("after", "worse"),
    [
        (Figures(10, 8, 9, 6, 6), False),
        (Figures(10, 7, 9, 6, 6), True),
        (Figures(10, 8, 8, 6, 6), True),
        (Figures(10, 8, 9, 5, 5), True),
        (Figures(10, 8, 9, 8, 7), True),
        (Figures(10, 9, 9, 7, 7), False),
    ],
)
def test_worse_is_any_share_that_fell(after: Figures, worse: bool) -> None:
    assert after.is_worse_than(Figures(10, 8, 9, 6, 6)) is worse


def test_a_mistake_in_the_test_set_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / FILE
    assert read_cases(file) == []
    file.write_text('{"id": "a", "text": "b", "category1": "c", "lead": "d"}\n\n{"id": "e"}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"{FILE}:3: .*text"):
        read_cases(file)
    file.write_text("not json\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"{FILE}:1: the JSON"):
        read_cases(file)
