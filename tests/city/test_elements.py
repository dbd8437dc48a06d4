"""elements.yml: what every category asks for, and what a mistake in the file says."""

import re
import shutil
from pathlib import Path

import pytest

from actions.buttons import BUTTONS
from assistant.city import City
from assistant.city_files import read_yaml
from assistant.elements import MOST_ASKED, Elements, read_elements, said
from assistant.errors import ConfigError
from tests.city.conftest import DEMO

CATEGORIES = [("城乡建设", "工程质量"), ("城乡建设", "其他"), ("民政", "其他")]
MATTERS = ["供水", "路灯"]
FILE = """\
parts:
  number: (?:\\d+|几)
  homes: <number>户
elements:
  since: {name: 开始时间, question: 从什么时候开始的？, kind: date, entities: [time]}
  area: {name: 范围, question: 有多大？, kind: choice, values: [一家, 一楼], said: [<homes>, (整栋)楼], not_said: [几]}
  notice: {name: 通知, question: 看到过通知吗？, kind: yes_no, values: [看到过, 没有]}
  proof: {name: 凭证, question: 有没有凭证？, kind: text}
needs:
  - {for: 供水, required: [since, area], helpful: [notice]}
  - {for: 城乡建设/工程质量, required: [proof]}
  - {for: [城乡建设, 路灯], required: [since]}
"""


def read(folder: Path, content: str = FILE) -> Elements:
    path = folder / "elements.yml"
    path.write_text(content, encoding="utf-8")
    return read_elements(read_yaml(path), CATEGORIES, MATTERS)


def codes(elements: Elements, *names: str | None) -> list[str]:
    return [element.code for element in elements.of(names[0] or "", *names[1:])]


def test_the_matter_comes_before_the_second_level_and_that_before_the_first(tmp_path: Path) -> None:
    elements = read(tmp_path)
    assert codes(elements, "城乡建设", "工程质量", "供水") == ["since", "area", "notice"]
    assert codes(elements, "城乡建设", "工程质量", None) == ["proof"]
    assert codes(elements, "城乡建设", "工程质量", "谁也没写的事项") == ["proof"]
    assert codes(elements, "城乡建设", None, None) == codes(elements, "城乡建设", "其他", None) == ["since"]
    assert codes(elements, "民政", "其他", None) == []
    assert [element.required for element in elements.of("城乡建设", None, "供水")] == [True, True, False]


def test_parts_groups_and_exclusions(tmp_path: Path) -> None:
    area = [element for element in read(tmp_path).of("", None, "供水") if element.code == "area"]
    assert said(area, "12户没水，整栋楼都是") == {"area": "12户"}
    assert said(area, "几户没水，整栋楼都是") == {"area": "整栋"}
    assert said(area, "几户没水") == {}


MISTAKES = [
    ("kind: text", "kind: words", "correct the value"),
    ("name: 凭证, ", "", "key 'name' is missing: add it"),
    ("有没有凭证？", "有" * 41, "at most 40"),
    ("有没有凭证？", "发生在什么地方？", "the form asks for place and contact anyway"),
    ("有没有凭证？", "您的手机号是多少？", "the form asks for place and contact anyway"),
    ("values: [看到过, 没有]", "values: [看到过]", "has two values"),
    ("values: [一家, 一楼], ", "", "has two values or more"),
    ("kind: text", "kind: text, values: [有, 没有]", "only yes_no and choice have values"),
    ("kind: text", "kind: text, entities: [colour]", "correct the value"),
    ("(整栋)楼", "(整栋楼", "not a regular expression"),
    ("<homes>, ", "<houses>, ", "part <houses> is unknown"),
    ("homes: <number>户", "homes: <nummer>户", "part <nummer> is unknown"),
    ("required: [proof]", "required: [prof]", "element 'prof' is unknown"),
    ("required: [proof]", "required: [since]", "element 'proof' is needed nowhere"),
    ("helpful: [notice]", "helpful: [notice, area]", "an element is there twice"),
    ("required: [since, area], helpful: [notice]", "required: [since, area, notice, proof]", "4 required elements"),
    ("城乡建设/工程质量", "城乡建设/工程", "'城乡建设/工程' is neither a matter nor a category"),
    ("[城乡建设, 路灯]", "[城乡建设, 供水]", "'供水' is there twice"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_mistakes_name_file_line_and_remedy(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, FILE.replace(old, new, 1))
    named = re.match(rf"{re.escape(str(tmp_path / 'elements.yml'))}:(\d+): ", str(caught.value))
    assert named and message in str(caught.value)
    where = FILE[: FILE.index(old)].count("\n") + 1
    assert int(named[1]) == (8 if "needed nowhere" in message else where)


def test_a_city_without_the_file_is_told_so(tmp_path: Path) -> None:
    folder = tmp_path / "city"
    shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("policies"))
    (folder / "elements.yml").unlink()
    with pytest.raises(ConfigError, match=r"elements\.yml:1: the file is missing"):
        City.load(folder)


# --- the demo city's own -------------------------------------------------------------------------------------------


def test_every_category_asks_for_something_or_says_that_it_does_not(city: City) -> None:
    assert [names for names in city.categories if not city.elements_of(*names)] == []
    matters = {rule.matter for rule in city.matrix.rules if rule.matter}
    assert {name for name, _ in city.elements.entries()} >= matters


def test_questions_are_short_and_ask_nothing_that_the_form_asks(city: City) -> None:
    for name, elements in city.elements.entries():
        assert sum(element.required for element in elements) <= MOST_ASKED, name
        assert [e.required for e in elements] == sorted((e.required for e in elements), reverse=True), name
        for element in elements:
            assert len(element.question) <= 40
            assert not re.search(r"电话|手机号|您的姓名|贵姓|什么地方|具体位置|地址|发生在哪", element.question)
            assert element.question.endswith(("？", "。")), element.question
            if element.required and element.kind == "date":
                assert "time" in element.entities or element.code in (
                    "wages_period", "unpaid_months", "handover_date", "taken_when",
                )  # fmt: skip


def test_an_answer_to_tap_is_no_command_of_the_dialogue(city: City) -> None:
    values = {value for _, elements in city.elements.entries() for element in elements for value in element.values}
    assert values and not values & set(BUTTONS)


def test_what_the_issue_names_is_asked_for(city: City) -> None:
    def names(*where: str) -> list[str]:
        return [element.code for element in city.elements_of(*where)]  # type: ignore[arg-type]

    assert names("城乡建设", "城市建设和市政管理", "供水")[:2] == ["since", "area"]
    assert names("环境保护", "环境污染", "社会生活噪声")[:2] == ["noise_source", "hours"]
    wages = names("劳动和社会保障", "工资福利", "拖欠工资")
    assert wages[:4] == ["employer", "wages_period", "wages_amount", "people"]
