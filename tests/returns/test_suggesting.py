"""What rulings suggest, and what they do not."""

from dataclasses import replace
from typing import Any

import pytest

from assistant.city import City
from assistant.city_models import Rule
from assistant.errors import BadInput
from assistant.returns.cases import ReturnCase
from assistant.returns.model import Change
from assistant.returns.standing_out import standing_out
from assistant.returns.suggesting import Means, matters_for, suggest, suggest_one
from kb.words import words
from tests.returns.build import case
from tests.returns.material import DOGS, OTHERS, POLICE

PHONE = "13812345678"
FOREIGN: dict[str, Any] = {"category1": "交通运输", "category2": "交通运输"}


def dogs(ruled: str = POLICE, **more: Any) -> list[ReturnCase]:
    return [case(f"ZZ{index}", text, ruled, **more) for index, text in enumerate(DOGS)]


def test_districts_agree_on_a_matter(city: City) -> None:
    """Each goes to its own police; the matter is one."""
    own = dogs()[:3]
    other = [
        case(
            f"YY{i}",
            text,
            "二七区公安分局",
            unit="二七区城市管理局",
            place="二七区大学路",
            grid_path=("郑州市", "二七区"),
        )
        for i, text in enumerate(DOGS[3:])
    ]
    [found] = suggest(Means(city, OTHERS, words), [*own, *other])
    assert found.change.matter == "养犬" and len(found.cases) == 6
    assert found.change.category is None and {"遛狗", "大狼狗"} <= set(found.change.words)


@pytest.mark.parametrize("reason", ["超职责", "职能交叉"])
def test_some_reasons_tell_no_words(city: City, reason: str) -> None:
    assert suggest(Means(city, OTHERS, words), dogs(reason=reason)) == []


def test_one_return_is_not_enough(city: City) -> None:
    assert suggest(Means(city, OTHERS, words), dogs()[:1]) == []
    # Nor is one ticket that was returned twice.
    assert suggest(Means(city, OTHERS, words), [dogs()[0], dogs()[0]]) == []


def test_what_the_matrix_knows_already_is_no_news(city: City) -> None:
    known = [case(f"ZZ{i}", text, POLICE) for i, text in enumerate(("犬证怎么办不下来", "办犬证没人管"))]
    assert suggest(Means(city, OTHERS, words), known) == []


def test_another_district_says_nothing_of_the_matrix(city: City) -> None:
    moved = dogs("二七区城市管理局", reason="属地不符")
    assert suggest(Means(city, OTHERS, words), moved) == []
    with pytest.raises(BadInput, match="地点不对"):
        suggest_one(Means(city, OTHERS, words), moved[0])


def test_the_unit_that_must_take_it_after_all_teaches_nothing(city: City) -> None:
    assert suggest(Means(city, OTHERS, words), dogs("金水区城市管理局")) == []


def test_a_foreign_category_suggests_a_rule_and_training_examples(city: City) -> None:
    told = [case(f"ZZ{i}", f"{text}，没有犬证，电话{PHONE}", POLICE, **FOREIGN) for i, text in enumerate(DOGS)]
    told[0] = replace(told[0], ticket=replace(told[0].ticket, confidential=True))
    rule, example = suggest(Means(city, OTHERS, words), told)
    assert (rule.change.kind, rule.change.matter, rule.change.category) == ("rule", "养犬", "交通运输/交通运输")
    assert "遛狗" in rule.change.words
    assert (example.change.kind, example.change.matter) == ("example", "政法/社会治安")
    sentences = [each.text for each in example.change.examples]
    assert len(sentences) == 5 and all(PHONE not in text and "138****5678" in text for text in sentences)
    assert {each.category2 for each in example.change.examples} == {"社会治安"}
    assert not any(DOGS[0][:8] in text for text in sentences)  # confidential


def test_functions_that_overlap_move_a_category_only(city: City) -> None:
    told = [case(f"ZZ{i}", f"{text}，没有犬证", POLICE, reason="职能交叉", **FOREIGN) for i, text in enumerate(DOGS)]
    [found] = suggest(Means(city, OTHERS, words), told)
    assert (found.change.kind, found.change.words, found.change.category) == ("rule", (), "交通运输/交通运输")


def test_a_person_says_which_matter(city: City) -> None:
    first = dogs()[0]
    offered = matters_for(city, [first])
    assert "养犬" in offered and "社会生活噪声" in offered
    [found] = suggest_one(Means(city, OTHERS, words), first, "养犬")
    assert found.change.words and all(word in first.text for word in found.change.words)


RULE = Rule(category=("甲/一",), matter="事项", words=("旧词",), basis="依据")


def test_a_change_adds_and_never_takes_away() -> None:
    change = Change("rule", "事项", "别的", ("新词", "旧词"), "乙/二")
    assert change.apply(RULE).words == ("旧词", "新词") and change.apply(RULE).category == ("甲/一", "乙/二")
    first = replace(change, first=True)
    assert first.apply(RULE).category == ("乙/二", "甲/一") == first.apply(first.apply(RULE)).category
    other = RULE.model_copy(update={"matter": "另一事项"})
    assert change.apply(other) is other
    assert Change.from_dict(change.as_dict()) == change


def test_a_further_return_adds_words_unless_a_person_chose_them() -> None:
    change, further = Change("words", "事项", "别的", ("一词",)), Change("words", "事项", "别的", ("二词",))
    assert change.joined(further).words == ("一词", "二词")
    assert replace(change, revised=True).joined(further).words == ("一词",)
    assert change.key == further.key != Change("rule", "事项", "别的", (), "乙/二").key


def test_words_of_everyday_do_not_stand_out() -> None:
    found = standing_out(
        ["希望尽快处理共享雨伞乱收费", "共享雨伞扫不开，希望尽快处理"],
        [f"希望尽快处理{text}" for text in OTHERS],
        words,
        without={"雨"},
    )
    assert "共享" in "".join(found) and not any("希望" in word or "处理" in word or "雨" in word for word in found)
