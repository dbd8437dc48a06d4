"""Cut a document into the passages that are searched and cited.

Laws and regulations are cut by article (第X条), each with its part, chapter and section; everything else by headings
and paragraphs. What is longer than a window of about 250 characters becomes several windows that overlap by about 50,
cut between sentences (window and overlap as measured for the 599 notices: see docs/decisions/0005-knowledge-base.md).
"""

import re
from dataclasses import dataclass

from kb.text import clean, sentences

WINDOW_CHARS = 250
OVERLAP_CHARS = 50
_SEPARATOR = " / "
_MAX_PLACE_CHARS = 120

_NUMBER = "[〇零一二三四五六七八九十百千两0-9０-９]+"
_ARTICLE = re.compile(rf"(第{_NUMBER}条(?:之{_NUMBER})?)(?:[ 　:：]+|(?=【)|$)(.*)", re.S)
_LOST_ARTICLE = re.compile(rf"(?:(?<=[。；]) *| +)(?=第{_NUMBER}条(?:之{_NUMBER})? +\S)")
_LOST_HEADING = re.compile(r"(?<=[。；：]) +(?=[（(]?[一二三四五六七八九十]+[）)、])")
_DIVISION = re.compile(rf"第{_NUMBER}(编|分编|章|节)(?:[ 　]+|$)(.*)")
_DIVISION_LEVEL = {"编": 1, "分编": 2, "章": 3, "节": 4}
_MARKDOWN = re.compile(r"(#{1,6}) +(.+?) *#*$")
_ENUMERATED = ((11, re.compile(r"[一二三四五六七八九十]+、")), (12, re.compile(r"[（(][一二三四五六七八九十]+[）)]")))
_MAX_HEADING_CHARS = 36
_MAX_MARKDOWN_HEADING_CHARS = 400
# A row of a table as `kb.tables` writes it: "项目：…；金额：…".
_ROW = re.compile(r"[^：；]{1,20}：[^；]+(?:；[^：；]{1,20}：[^；]+)+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage before it is stored: its place in the document (headings and article, joined by " / ") and its text."""

    article: str | None
    text: str


def split(text: str, title: str = "") -> list[Piece]:
    """Cut `text` into passages, in reading order; a first line that repeats the title is left out."""
    lines = _LOST_HEADING.sub("\n", clean(text)).split("\n")
    if title and re.sub(r"^#+ *", "", lines[0]).strip() == title.strip():
        lines = lines[1:] or lines
    if not _has_articles(lines):
        broken = _LOST_ARTICLE.sub("\n", "\n".join(lines)).split("\n")
        lines = broken if _has_articles(broken) else lines
    sections = _by_article(lines) if _has_articles(lines) else _by_heading(lines)
    pieces = []
    for place, paragraphs in sections:
        article = _SEPARATOR.join(place)[-_MAX_PLACE_CHARS:] or None
        pieces += [Piece(article, window) for window in windows(paragraphs)]
    # A text of nothing but headings is still a text.
    return pieces or [Piece(None, window) for window in windows(lines)]


def _has_articles(lines: list[str]) -> bool:
    return sum(1 for line in lines if _ARTICLE.match(line)) >= 3


def _by_article(lines: list[str]) -> list[tuple[list[str], list[str]]]:
    """Sections of a law: what stands before the first article, then one section an article."""
    sections: list[tuple[list[str], list[str]]] = []
    divisions: dict[int, str] = {}
    current: list[str] = []
    started = False
    for line in lines:
        plain = re.sub(r"^#+ *", "", line)
        division = _DIVISION.match(plain)
        article = _ARTICLE.match(plain)
        if article:
            started = True
            current = [plain]
            sections.append(([*(divisions[k] for k in sorted(divisions)), article[1]], current))
        elif division and len(plain) <= _MAX_HEADING_CHARS:
            level = _DIVISION_LEVEL[division[1]]
            divisions = {k: v for k, v in divisions.items() if k < level} | {level: plain}
            current = []
        elif current:
            current.append(plain)
        elif not started:
            # Preamble and table of contents: dates of adoption, who approved it.
            current = [plain]
            sections.append(([], current))
        else:
            current = [plain]
            sections.append(([divisions[k] for k in sorted(divisions)], current))
    return sections


def _by_heading(lines: list[str]) -> list[tuple[list[str], list[str]]]:
    """Sections of a notice or a guide: one for each heading, with the headings above it."""
    sections: list[tuple[list[str], list[str]]] = []
    headings: dict[int, str] = {}
    current: list[str] = []
    for line in lines:
        level, heading, rest = _heading(line)
        if heading is None:
            if not current:
                sections.append(([headings[k] for k in sorted(headings)], current))
            current.append(line)
            continue
        headings = {k: v for k, v in headings.items() if k < level} | {level: heading}
        current = []
        if rest:
            current.append(rest)
            sections.append(([headings[k] for k in sorted(headings)], current))
    return [section for section in sections if section[1]]


def _heading(line: str) -> tuple[int, str | None, str]:
    """Level and words of a heading, and the text of the line that has to be kept as a paragraph."""
    markdown = _MARKDOWN.match(line) if len(line) <= _MAX_MARKDOWN_HEADING_CHARS else None
    if markdown:
        return len(markdown[1]), markdown[2].strip(), ""
    division = _DIVISION.match(line)
    if division and len(line) <= _MAX_HEADING_CHARS:
        return 6 + _DIVISION_LEVEL[division[1]], line, ""
    for level, pattern in _ENUMERATED:
        if pattern.match(line):
            first = sentences(line)[0].rstrip("。；;：:")
            whole = first == line.rstrip("。；;：:")
            if len(first) <= _MAX_HEADING_CHARS:
                # A heading that says something itself ("一、每户补助 500 元。") stays readable as text, too.
                keep = "" if whole and not line.endswith(("。", "；", ";")) else line
                return level, first, keep
    return 0, None, line


def windows(paragraphs: list[str], size: int = WINDOW_CHARS, overlap: int = OVERLAP_CHARS) -> list[str]:
    """Paragraphs packed into windows of at most `size` characters; a window starts with the end of the one before it.

    Only a single sentence that is longer than `size` is cut inside, and then hard.
    """
    whole = "\n".join(paragraphs)
    if len(whole) <= size:
        return [whole] if whole else []
    units = [unit for paragraph in paragraphs for unit in _units(paragraph, size)]
    result: list[str] = []
    window: list[str] = []
    for unit in units:
        if window and sum(map(len, window)) + len(unit) > size:
            result.append("".join(window).strip())
            window = _tail(window, overlap, size - len(unit))
        window.append(unit)
    result.append("".join(window).strip())
    return [text for text in result if text]


def _units(paragraph: str, size: int) -> list[str]:
    """Sentences of a paragraph, the last with its line end; a longer one is cut at commas where it has some.

    A row of a table stays whole: half of it would not say what it is about.
    """
    if len(paragraph) <= size and _ROW.fullmatch(paragraph):
        return [paragraph + "\n"]
    units: list[str] = []
    for sentence in sentences(paragraph):
        start = 0
        while len(sentence) - start > size:
            marks = (sentence.rfind(mark, start + size // 2, start + size) for mark in "，,、：: ")
            cut = max(marks) + 1 or start + size
            units.append(sentence[start:cut])
            start = cut
        units.append(sentence[start:])
    if units:
        units[-1] += "\n"
    return units


def _tail(window: list[str], overlap: int, room: int) -> list[str]:
    """The last sentences of a window, up to `overlap` characters, that still fit into `room`."""
    tail: list[str] = []
    for unit in reversed(window):
        if sum(map(len, tail)) + len(unit) > min(overlap, room):
            break
        tail.insert(0, unit)
    return tail
