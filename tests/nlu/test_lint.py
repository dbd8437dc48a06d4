"""The checks of our sentences: each kind of fault is found with both places, what is right is left alone."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nlu import lint
from nlu.cli import app
from nlu.errors import DataError

OWN = Path(__file__).resolve().parents[2] / "training_data"
LIGHT = "花园路与农科路交叉口的路灯坏了三个星期"
JSON = dict[str, object]


class Folder:
    """Training and test files with one sound sentence each, to which a test adds its fault."""

    def __init__(self, root: Path) -> None:
        self.training, self.tests = root / "training", root / "tests"
        for name in ("nlu", "categories", "danger", "calibration"):
            (self.training / name).mkdir(parents=True)
        self.tests.mkdir()
        self.intents({"greet": ["您好呀"]})
        self.rows("training/categories/a.jsonl", category("物业半年没有清理过化粪池"))
        self.rows("training/danger/a.jsonl", {"text": "三楼窗户往外冒浓烟", "urgency": "特急"})
        self.rows("training/calibration/a.jsonl", {"text": "请转接一位接线员", "intent": "request_human"})
        self.rows("tests/intents.jsonl", {"text": "回头再联系吧", "intent": "goodbye"})

    def intents(self, groups: dict[str, list[str]], name: str = "a.yml") -> None:
        lines = ["nlu:"]
        for intent, examples in groups.items():
            lines += [f"- intent: {intent}", "  examples: |", *(f"    - {text}" for text in examples)]
        (self.training / "nlu" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def rows(self, path: str, *found: JSON) -> None:
        lines = (json.dumps(row, ensure_ascii=False) for row in found)
        (self.training.parent / path).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def lint(self) -> lint.Report:
        return lint.lint(self.training, self.tests)

    def found(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Kind, level and places (relative) of all findings."""
        root = f"{self.training.parent}/"
        return [(f.kind, f.level, tuple(p.removeprefix(root) for p in f.places)) for f in self.lint().findings]


def category(text: str, **changed: str) -> JSON:
    row = {"request_type": "求助", "category1": "城乡建设", "category2": "城市建设和市政管理", "urgency": "一般"}
    return {"text": text, **row, **changed}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_sound_files_have_no_findings(folder: Folder) -> None:
    report = folder.lint()
    assert report.findings == []
    assert report.rows == {"training": 3, "calibration": 1, "test": 1}
    assert report.counted == {}


def test_a_training_sentence_gives_way_to_the_same_one_of_the_tests(folder: Folder) -> None:
    folder.intents({"greet": ["您好呀", "在吗"], "affirm": ["Ｏｋ 的！"]})
    folder.rows(
        "tests/intents.jsonl", {"text": "回头再联系吧", "intent": "goodbye"}, {"text": "ok的", "intent": "affirm"}
    )
    report = folder.lint()
    assert folder.found() == [("duplicate", "error", ("training/nlu/a.yml:8", "tests/intents.jsonl:2"))]
    assert report.findings[0].texts == ("Ｏｋ 的！", "ok的")
    assert report.findings[0].remedy.endswith("a.yml:8")
    assert report.errors == 1


def test_lines_count_blank_ones(folder: Folder) -> None:
    path = folder.tests / "intents.jsonl"
    path.write_text('\n\n{"text": "您好呀", "intent": "greet"}\n', encoding="utf-8")
    assert folder.found()[0][2] == ("training/nlu/a.yml:4", "tests/intents.jsonl:3")


def test_the_same_emoji_apart_is_another_sentence(folder: Folder) -> None:
    folder.rows("tests/intents.jsonl", {"text": "您好呀😊", "intent": "greet"})
    assert folder.found() == []


def test_a_sentence_may_teach_different_heads_but_none_twice(folder: Folder) -> None:
    folder.intents({"file_request": [LIGHT]})
    folder.rows("training/categories/a.jsonl", category(LIGHT))
    report = folder.lint()
    assert report.findings == []
    assert report.counted == {"same_text_for_other_heads": 1}
    folder.rows("training/categories/b.jsonl", category(LIGHT + "。"))
    places = ("training/categories/a.jsonl:1", "training/categories/b.jsonl:1")
    assert folder.found() == [("duplicate", "warning", places)]


def test_no_sentence_is_trained_on_and_judged_by(folder: Folder) -> None:
    folder.rows("training/calibration/a.jsonl", {"text": "您好呀", "intent": "greet"})
    places = ("training/nlu/a.yml:4", "training/calibration/a.jsonl:1")
    assert folder.found() == [("duplicate", "error", places)]


def test_button_texts_stay(folder: Folder) -> None:
    folder.intents({"request_human": ["转人工"]}, "buttons.yml")
    folder.rows("tests/intents.jsonl", {"text": "转人工", "intent": "request_human"})
    assert folder.found() == [("duplicate", "warning", ("training/nlu/buttons.yml:4", "tests/intents.jsonl:1"))]
    assert "逐字比较" in folder.lint().findings[0].remedy


@pytest.mark.parametrize(
    ("tested", "near"),
    [
        ("花园路和农科路交叉口的路灯坏了三个多星期", True),
        ("花园路与农科路交叉口的红绿灯不亮了", False),
        ("文化路与东风路交叉口的水管爆了两个小时", False),
    ],
)
def test_near_duplicates_of_the_tests_are_errors(folder: Folder, tested: str, near: bool) -> None:
    folder.rows("training/categories/a.jsonl", category("物业半年没有清理过化粪池"), category(LIGHT))
    folder.rows("tests/categories.jsonl", category(tested))
    expected = ("near_duplicate", "error", ("training/categories/a.jsonl:2", "tests/categories.jsonl:1"))
    assert folder.found() == [expected] * near


def test_near_duplicates_are_found_in_either_order_of_length(folder: Folder) -> None:
    folder.rows("training/categories/a.jsonl", category("一" + LIGHT + "了啊"), category("物业半年没有清理过化粪池"))
    folder.rows("tests/categories.jsonl", category(LIGHT))
    assert [kind for kind, _, _ in folder.found()] == ["near_duplicate"]


def test_short_sentences_are_only_compared_exactly(folder: Folder) -> None:
    folder.rows("tests/intents.jsonl", {"text": "您好呀您", "intent": "greet"}, {"text": "不好呀", "intent": "deny"})
    assert folder.found() == []


def test_near_duplicates_within_training_are_only_counted(folder: Folder) -> None:
    folder.rows("training/categories/a.jsonl", category(LIGHT), category(LIGHT + "了"))
    assert folder.lint().findings == []
    assert folder.lint().counted == {"near_duplicates_training": 1}


def test_the_same_sentence_with_two_labels_is_a_conflict(folder: Folder) -> None:
    folder.rows("training/categories/a.jsonl", category("电梯里困着个孩子", urgency="一般"))
    folder.rows("training/danger/a.jsonl", {"text": "电梯里困着个孩子", "urgency": "特急"})
    (finding,) = folder.lint().findings
    assert (finding.kind, finding.level) == ("conflict", "error")
    assert finding.detail == "urgency：一般 ≠ 特急，danger：无危险 ≠ 危险"


def test_a_question_mark_makes_another_meaning(folder: Folder) -> None:
    folder.intents({"affirm": ["嗯"], "repeat": ["嗯？"]})
    assert "conflict" not in [kind for kind, _, _ in folder.found()]


def test_a_report_of_danger_contradicts_a_test_that_says_there_is_none(folder: Folder) -> None:
    folder.intents({"report_danger": ["锅炉房好像要炸了"]})
    folder.rows("tests/danger.jsonl", {"text": "锅炉房好像要炸了", "danger": False, "kind": "trap"})
    assert [kind for kind, _, _ in folder.found()] == ["conflict", "duplicate"]


def test_nearly_the_same_sentence_with_two_labels_is_pointed_out(folder: Folder) -> None:
    folder.intents({"ask_fee": ["暖气费一平米多少钱"], "ask_policy": ["暖气费一平方多少钱"]})
    finding = folder.lint().findings[0]
    assert (finding.kind, finding.level) == ("near_conflict", "warning")
    assert finding.detail == "89%，intent：ask_fee ≠ ask_policy"


def test_ticket_numbers_make_sentences_neither_alike_nor_different(folder: Folder) -> None:
    folder.intents(
        {"ticket_progress": ["工单ZZ20260101050001到哪了"], "ticket_withdraw": ["把工单ZZ20260101050001撤掉"]}
    )
    assert folder.found() == []


@pytest.mark.parametrize(
    ("number", "real"),
    [
        ("11010519491231002X", True),  # the example of GB 11643
        ("11010519491231002x", True),
        ("110105194912310021", False),  # check character
        ("11010519491331002X", False),  # no such month
        ("410198197106085321", False),  # no county ends in 98
        ("110105********002X", False),
    ],
)
def test_identity_numbers_that_somebody_may_hold(number: str, real: bool) -> None:
    assert lint.is_real_id_card(number) is real


@pytest.mark.parametrize(
    ("number", "real"),
    [
        ("15236987742", True),
        ("+86 152 3698 7742", True),
        ("幺五二三六九八七七四二", True),
        ("152****7742", False),
        ("13812345678", False),
        ("15200007742", False),
        ("0371-66329874", False),
    ],
)
def test_mobile_numbers_that_somebody_may_have(number: str, real: bool) -> None:
    assert lint.is_real_mobile(number) is real


def test_personal_data_is_pointed_out_and_masked(folder: Folder) -> None:
    folder.intents({"inform_contact": ["我叫李强，１５２３６９８７７４２，身份证11010519491231002X"]})
    card, phone = folder.lint().findings
    assert [(f.kind, f.level, f.detail) for f in (card, phone)] == [
        ("personal_data", "error", "身份证号"),
        ("personal_data", "error", "手机号"),
    ]
    assert card.texts == phone.texts == ("我叫李强，１５２****４２，身份证110****2X",)


def test_mobile_numbers_are_what_entity_tests_are_about(folder: Folder) -> None:
    phone = {"type": "phone", "start": 0, "end": 11}
    folder.rows("tests/entities.jsonl", {"text": "15236987742是我的", "entities": [phone]})
    assert folder.found() == []
    folder.rows("tests/intents.jsonl", {"text": "15236987742是我的号", "intent": "inform_contact"})
    assert folder.found() == [("personal_data", "warning", ("tests/intents.jsonl:1",))]


@pytest.mark.parametrize("missing", ["training/nlu/a.yml", "training/danger/a.jsonl", "tests/intents.jsonl"])
def test_a_missing_file_is_named(folder: Folder, missing: str) -> None:
    path = folder.training.parent / missing
    path.unlink()
    with pytest.raises(DataError, match=r"no \*\.\w+ files here") as caught:
        folder.lint()
    assert caught.value.file == path.parent


def test_the_command_fails_on_errors_only(folder: Folder) -> None:
    arguments = ["lint", "--data", str(folder.training), "--tests", str(folder.tests)]
    folder.rows("training/categories/b.jsonl", category("物业半年没有清理过化粪池！"))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "提醒 重复" in result.stdout
    assert "b.jsonl:1  物业半年没有清理过化粪池！" in result.stdout
    assert "0 个错误，1 个提醒" in result.stdout

    folder.rows("tests/intents.jsonl", {"text": "您好呀", "intent": "greet"})
    result = CliRunner().invoke(app, [*arguments, "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert found["errors"] == 1
    assert found["findings"][0]["places"] == [f"{folder.training}/nlu/a.yml:4", f"{folder.tests}/intents.jsonl:1"]
    assert found["rows"] == {"training": 4, "calibration": 1, "test": 1}


def test_the_command_says_what_cannot_be_read(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["lint", "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "no *.yml files here" in result.stderr


def test_what_we_ship_is_free_of_errors() -> None:
    report = lint.lint(OWN, Path(__file__).parent / "data")
    assert [(f.kind, f.places, f.texts) for f in report.findings if f.level == "error"] == []
