"""`minsheng kb show | versions | diff | status`: one document, its versions, its status."""

from datetime import datetime
from typing import Annotated, Any

import typer

from kb import lifecycle
from kb.answer import validity
from kb.compare import NAMES, Gap, Line, shortened
from kb.console import JsonFlag, NoEncoder, database, out, run, show, table
from kb.documents import STATUS_NAMES
from kb.errors import DocumentNotFound, InvalidDocument
from kb.lifecycle import Role
from kb.phrasings import Phrasings, told_of_left_behind
from kb.service import KnowledgeBase
from kb.versions import author

app = typer.Typer()
BY = "命令行"
_MARKS = {"added": "＋ 新增 ", "removed": "－ 删去 ", "same": "　　　　 "}
_STYLES = {"added": "green", "removed": "red", "same": "dim"}
DocumentId = Annotated[str, typer.Argument(help="文件编号，见 minsheng kb list")]


@app.command("show")
def show_(
    document_id: DocumentId,
    version: Annotated[int | None, typer.Option(min=1, help="第几版；不写为现在的")] = None,
    as_json: JsonFlag = False,
) -> None:
    """显示一份文件的信息和全文。"""

    async def work() -> dict[str, Any]:
        async with database() as db:
            kb = KnowledgeBase(db, NoEncoder())
            shown = await kb.version(document_id, version)
            found = await kb.get(document_id)
            if found is None:
                raise DocumentNotFound()
            return {"id": document_id, "status": found.document.status_on(kb.today())} | shown.as_dict()

    result = run(work())

    def draw() -> None:
        rows = [["状态", STATUS_NAMES[result["status"]]], ["版本", str(result["number"])]]
        rows += [[label, str(result[name])] for name, label in NAMES.items() if result[name]]
        out.print(table(["项目", "内容"], rows))
        out.print(result["text"], markup=False)

    show(as_json, result, draw)


@app.command()
def versions(document_id: DocumentId, as_json: JsonFlag = False) -> None:
    """列出一份文件的各个版本，最新的在前。"""

    async def work() -> list[dict[str, Any]]:
        async with database() as db:
            return [info.as_dict() for info in await KnowledgeBase(db, NoEncoder()).versions(document_id)]

    rows = run(work())

    def draw() -> None:
        cells = [[str(r["number"]), r["changed_at"][:16], author(r["changed_by"]), str(r["chars"])] for r in rows]
        out.print(table(["版本", "时间（UTC）", "修改人", "字数"], cells))

    show(as_json, rows, draw)


@app.command()
def diff(
    document_id: DocumentId,
    old: Annotated[int, typer.Argument(min=1, help="较早的版本")],
    new: Annotated[int, typer.Argument(min=1, help="较晚的版本")],
    as_json: JsonFlag = False,
) -> None:
    """比较两个版本：哪些信息变了，增删了哪些句子。"""

    async def work() -> Any:
        async with database() as db:
            return await KnowledgeBase(db, NoEncoder()).compare(document_id, old, new)

    found = run(work())
    result = {
        "fields": {c.name: {"before": c.before, "after": c.after} for c in found.fields},
        "added": [line.text for line in found.lines if line.kind == "added"],
        "removed": [line.text for line in found.lines if line.kind == "removed"],
    }

    def draw() -> None:
        if found.same:
            out.print("两版相同。")
        for change in found.fields:
            out.print(f"{change.label}：{change.before or '（空）'} → {change.after or '（空）'}", markup=False)
        for line in shortened(found.lines) if found.added or found.removed else []:
            _draw_line(line)

    show(as_json, result, draw)


@app.command()
def status(
    document_id: DocumentId,
    new: Annotated[str, typer.Argument(help="published、suspended、expired 或 superseded")],
    by: Annotated[str | None, typer.Option(help="superseded 时：替代它的新文件的编号")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="最后有效的一天")] = None,
    as_json: JsonFlag = False,
) -> None:
    """改变一份文件的状态；下一个提问起生效。"""
    day = until.date() if until else None

    async def work() -> Any:
        async with database() as db:
            kb = KnowledgeBase(db, NoEncoder())
            if new not in STATUS_NAMES:
                raise InvalidDocument(f"没有“{new}”这个状态；可以写 {'、'.join(STATUS_NAMES)}。")
            found = await kb.get(document_id)
            if found is None:
                raise DocumentNotFound()
            step = lifecycle.towards(found.document, new, Role.OPERATOR)
            moved = await kb.move(document_id, step.operation, by=BY, role=Role.OPERATOR, successor=by, until=day)
            changed = step.operation in lifecycle.CHANGES_SUCCESSOR
            return moved, await Phrasings(db, NoEncoder()).left_behind(document_id) if changed else {}

    document, left = run(work())

    def draw() -> None:
        out.print(f"《{document.title}》：{STATUS_NAMES[document.status]}，{validity(document)}。", markup=False)
        if document.status == "published" and document.superseded_by:
            out.print(f"到期后由 {document.superseded_by} 替代。", markup=False)
        if left:
            out.print(told_of_left_behind(left), markup=False)

    show(as_json, document.as_dict() | {"phrasings_left": left}, draw)


def _draw_line(line: Line | Gap) -> None:
    if isinstance(line, Gap):
        out.print(f"　　　　 （{line.count} 句没有变）", style="dim", markup=False)
    else:
        out.print(_MARKS[line.kind] + line.text, style=_STYLES[line.kind], markup=False)
