"""Tables as text: one line a row, each value with the name of its column, so that a row is understood by itself."""

import re
from collections.abc import Sequence

_COLUMN_WORDS = re.compile(
    r"序号|编号|项目|名称|事项|类别|类型|种类|内容|标准|金额|费用|价格|单价|单位|部门|电话|地址|时间|时限|期限|条件|材料|对象|"
    r"范围|等级|档次|比例|数量|备注|说明|依据|区域|姓名|职务"
)
_MAX_NAME_CHARS = 20
_MARKDOWN_RULE = re.compile(r"\|?(?: *:?-+:? *\|)+ *(?::?-+:? *)?")
_MAX_MARKDOWN_LINE = 10_000


def row_lines(rows: Sequence[Sequence[str]], *, header: bool | None = None) -> list[str]:
    """Lines of a table: "项目：身份证；金额：20 元" with a header, "电话：12345" for pairs, else the cells with spaces.

    `rows`: cells by row, "" for an empty one. `header`: whether the first row names the columns; None: judge by it.
    """
    table = [[" ".join(cell.split()) for cell in row] for row in rows]
    table = [row for row in table if any(row)]
    if not table:
        return []
    width = max(map(len, table))
    if width == 1:
        return [row[0] for row in table]
    # A title over the whole width, or a row with one cell, is a line of its own.
    lines: list[str] = []
    while len(table) > 1 and len({cell for cell in table[0] if cell}) == 1:
        lines.append(next(cell for cell in table.pop(0) if cell))
    if len(table) > 1 and (header or (header is None and _names_columns(table[0]))):
        names = table[0]
        return lines + [line for row in table[1:] if (line := _named(names, row))]
    return lines + [_plain(row) for row in table]


def _names_columns(row: Sequence[str]) -> bool:
    if not all(row) or len(set(row)) < len(row) or any(len(cell) > _MAX_NAME_CHARS for cell in row):
        return False
    if any(re.search(r"[\d。；]", cell) for cell in row):
        return False
    # Two columns are often pairs of name and value, whose first row looks like a header.
    named = sum(bool(_COLUMN_WORDS.search(cell)) for cell in row)
    return len(row) > 2 or named == 2


def _named(names: Sequence[str], row: Sequence[str]) -> str:
    parts: list[str] = []
    for position, value in enumerate(row):
        name = names[position].rstrip("：:") if position < len(names) else ""
        part = f"{name}：{value.rstrip('；;。')}" if name else value
        # A cell over several columns comes once for each of them.
        if value and part not in parts:
            parts.append(part)
    return "；".join(parts)


def _plain(row: Sequence[str]) -> str:
    cells = [cell for i, cell in enumerate(row) if cell and (i == 0 or cell != row[i - 1])]
    if len(cells) == 2 and len(cells[0]) <= _MAX_NAME_CHARS:
        return f"{cells[0].rstrip('：:')}：{cells[1]}"
    return " ".join(cells)


def markdown_tables(text: str) -> str:
    """The text with its pipe tables written row by row."""
    if "|" not in text:
        return text
    lines = text.split("\n")
    result: list[str] = []
    at = 0
    while at < len(lines):
        if at + 1 < len(lines) and "|" in lines[at] and _is_rule(lines[at + 1]):
            end = at + 2
            while end < len(lines) and "|" in lines[end]:
                end += 1
            result += row_lines([_cells(line) for line in (lines[at], *lines[at + 2 : end])], header=True)
            at = end
        else:
            result.append(lines[at])
            at += 1
    return "\n".join(result)


def _is_rule(line: str) -> bool:
    return "|" in line and len(line) < _MAX_MARKDOWN_LINE and bool(_MARKDOWN_RULE.fullmatch(line.strip()))


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", inner)]
