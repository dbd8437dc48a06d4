"""Phrasings: what may be attached, that search finds by them, and what becomes of them when documents change."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import structlog
from sqlalchemy import delete, func, select, update
from typer.testing import CliRunner

from assistant.db.models import KbDocument, KbPhrasing
from assistant.db.session import Database
from assistant.settings import get_settings
from kb import cli, cli_phrasings, phrasing_files, ranking
from kb.documents import NewDocument
from kb.errors import DocumentNotFound, KbError
from kb.evaluate import build
from kb.health.look import Material, Seen
from kb.health.service import Health
from kb.keeper import FILE
from kb.phrasing_index import Phrased
from kb.phrasings import NewPhrasing, NoSuchPlace, PhrasingExists, PhrasingNotFound, Phrasings
from kb.search import Filters, Query, Snapshot
from kb.service import KbSettings, KnowledgeBase
from tests.kb.conftest import TODAY, HashEncoder, dogs, heating

# Shares no word with any entry, so that only a phrasing leads anywhere.
COLD = "屋里冻得慌咋弄"


@pytest.fixture
async def base(db: Database, encoder: HashEncoder, settings: KbSettings) -> KnowledgeBase:
    found = KnowledgeBase(db, encoder, settings=settings)
    await found.import_documents([heating(region="郑州市"), dogs()], publish=True)
    return found


@pytest.fixture
def phrasings(db: Database, encoder: HashEncoder, base: KnowledgeBase) -> Phrasings:
    return Phrasings(db, encoder)


async def phrased(base: KnowledgeBase, **how: object) -> list[tuple[str, str | None]]:
    """The places found by a phrasing."""
    hits = await base.search(COLD, **how)  # type: ignore[arg-type]
    return [(hit.document.id, hit.article) for hit in hits if hit.phrased]


async def test_a_question_finds_the_place_that_a_phrasing_of_it_names(
    base: KnowledgeBase, phrasings: Phrasings
) -> None:
    assert await phrased(base) == []
    one = await phrasings.add("heating", "报修", COLD, source="staff", by="editor")
    best = (await base.search(COLD))[0]
    assert (best.document.id, best.article) == ("heating", "报修")
    assert best.phrased == pytest.approx(1.0, abs=1e-2)
    await phrasings.remove(one.id)
    assert await phrased(base) == []
    with pytest.raises(PhrasingNotFound):
        await phrasings.remove(one.id)


async def test_one_of_the_whole_document_names_all_its_places(base: KnowledgeBase, phrasings: Phrasings) -> None:
    one = await phrasings.add("heating", None, COLD, source="staff", by="editor")
    assert one.place == "《居民供热用热办法》整份文件"
    assert sorted(await phrased(base)) == [("heating", "室温标准"), ("heating", "报修")]


async def test_what_may_not_be_answered_from_is_not_found_by_a_phrasing(
    base: KnowledgeBase, phrasings: Phrasings
) -> None:
    await phrasings.add("heating", "报修", COLD, source="staff", by="editor")
    assert await phrased(base, filters=Filters(region="郑州市")) == [("heating", "报修")]
    assert await phrased(base, filters=Filters(region="洛阳市")) == []
    await base.edit("heating", {"valid_from": TODAY}, base_version=1)
    assert await phrased(base, as_of=TODAY - timedelta(days=1)) == []
    assert await phrased(base) == [("heating", "报修")]
    await base.suspend("heating")
    assert await phrased(base) == []


async def test_what_cannot_be_a_phrasing_is_refused(base: KnowledgeBase, phrasings: Phrasings) -> None:
    await phrasings.add("heating", "报修", COLD, source="staff", by="editor")
    with pytest.raises(PhrasingExists):
        await phrasings.add("heating", "报修", f"  {COLD} ", source="import", by="editor")
    with pytest.raises(NoSuchPlace, match="《居民供热用热办法》没有“第九条”。它有：室温标准、报修。"):
        await phrasings.add("heating", "第九条", COLD, source="staff", by="editor")
    with pytest.raises(DocumentNotFound):
        await phrasings.add("nowhere", None, COLD, source="staff", by="editor")
    for text in ("  ", "问" * 501):
        with pytest.raises(KbError, match="1 到 500"):
            await phrasings.add("heating", "报修", text, source="staff", by="editor")
    # Elsewhere it may stand again.
    await phrasings.add("heating", "室温标准", COLD, source="staff", by="editor")
    assert [one.label for one in await phrasings.listed("heating")] == ["室温标准", "报修"]


async def test_numbers_of_people_are_masked(base: KnowledgeBase, phrasings: Phrasings) -> None:
    one = await phrasings.add("heating", "报修", "我电话13812345678，家里不热", source="hit_test", by="editor")
    assert one.text == "我电话138****5678，家里不热"


async def test_it_outlives_versions_and_is_a_finding_where_its_place_is_gone(
    db: Database, base: KnowledgeBase, phrasings: Phrasings, encoder: HashEncoder
) -> None:
    async def unseen(_: Material) -> Seen:
        return Seen([], [])

    health = Health(db, base, lambda: encoder.encoder_id, look=unseen)
    await phrasings.add("heating", "报修", COLD, source="staff", by="editor")
    await health.check()
    assert await health.tasks(kinds=["dead_phrasing"]) == []
    whole = (await base.version("heating")).text
    await base.edit("heating", {"text": whole.replace("## 报修", "## 找谁修")}, base_version=1)
    assert await phrased(base) == []
    assert [one.used for one in await phrasings.listed()] == [False]
    await health.check()
    (task,) = await health.tasks(kinds=["dead_phrasing"], states=["待处理"])
    assert task.summary == "《居民供热用热办法》：1 个问法所指的条款“报修”已不存在"
    await base.restore("heating", 1, base_version=2)
    assert await phrased(base) == [("heating", "报修")]
    await health.check()
    assert await health.tasks(kinds=["dead_phrasing"], states=["待处理"]) == []


async def test_they_go_with_their_document(db: Database, base: KnowledgeBase, phrasings: Phrasings) -> None:
    await phrasings.add("heating", "报修", COLD, source="staff", by="editor")
    async with db.begin() as session:
        await session.execute(delete(KbDocument).where(KbDocument.id == "heating"))
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(KbPhrasing)) == 0


async def test_other_processes_have_it_and_the_file_stays(
    db: Database, encoder: HashEncoder, settings: KbSettings, tmp_path: Path
) -> None:
    settings = replace(settings, index_folder=tmp_path)
    here, there = (KnowledgeBase(db, encoder, settings=settings) for _ in range(2))
    await here.import_documents([heating(), dogs()], publish=True)
    for base in (here, there):
        await base.load()
        await base.settled()
    written = (tmp_path / FILE).stat().st_mtime_ns
    await Phrasings(db, encoder).add("heating", "报修", COLD, source="staff", by="editor")
    assert await phrased(there) == [("heating", "报修")]
    await there.import_documents([dogs("dogs2")], publish=True)
    assert await phrased(here) == await phrased(there) == [("heating", "报修")]
    await there.settled()
    assert (tmp_path / FILE).stat().st_mtime_ns == written


async def test_vectors_of_another_encoder_are_made_anew(
    db: Database, base: KnowledgeBase, phrasings: Phrasings, encoder: HashEncoder, settings: KbSettings
) -> None:
    await phrasings.add("heating", "报修", COLD, source="staff", by="editor")
    async with db.begin() as session:
        await session.execute(update(KbPhrasing).values(encoder="older", embedding=b"\0\0" * 8))
    fresh = KnowledgeBase(db, encoder, settings=settings)
    assert await phrased(fresh) == [("heating", "报修")]
    async with db.read() as session:
        assert await session.scalar(select(KbPhrasing.encoder)) == encoder.encoder_id


async def test_seeding_brings_those_of_the_new_entries_alone(
    db: Database, encoder: HashEncoder, settings: KbSettings, tmp_path: Path
) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "heating.md").write_text(
        "---\nid: heating\ntitle: 居民供热用热办法\nstatus: published\n---\n## 报修\n打热力公司电话。\n", "utf-8"
    )
    (tmp_path / "phrasings").mkdir()
    rows = [
        {"title": "居民供热用热办法", "label": "报修", "question": COLD},
        {"title": "别的办法", "label": "第一条", "question": "不相干"},
    ]
    (tmp_path / "phrasings" / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    base, phrasings = KnowledgeBase(db, encoder, settings=settings), Phrasings(db, encoder)
    report = await base.seed(tmp_path / "policies")
    assert report.refused == []
    (one,) = await phrasings.listed()
    assert (one.text, one.source) == (COLD, "import")
    await phrasings.remove(one.id)
    await base.seed(tmp_path / "policies")
    assert await phrasings.listed() == []


def _laws(encoder: HashEncoder) -> Snapshot:
    text = "\n".join(f"第{n}条 内容各不相同的一条，编号是{n * 7}。" for n in "一二三四五六七八九十")
    return build([NewDocument(id=f"law{i}", title=f"条例{i}", text=text) for i in range(60)], encoder)


def test_a_place_that_neither_search_found_is_judged(encoder: HashEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "DEPTH", 5)
    snapshot = _laws(encoder)
    query = Query.of("条例7的编号", encoder)
    found = {hit.document.id for hit in snapshot.search(query, top_k=5, today=date.today())}
    missing = next(id_ for id_ in snapshot.documents if id_ not in found)
    told = snapshot.with_phrasings([Phrased(missing, "第三条", "条例7的编号", query.vector.astype(np.float16))])
    best = told.search(query, top_k=5, today=date.today())[0]
    assert (best.document.id, best.article) == (missing, "第三条")


def test_without_phrasings_alike_the_order_is_as_ever(encoder: HashEncoder) -> None:
    snapshot = _laws(encoder)
    query = Query.of("内容不相同", encoder)
    away = np.zeros(encoder.width, dtype=np.float16)
    away[0] = 1
    far = snapshot.with_phrasings([Phrased("law1", "第九条", "别的", away), Phrased("gone", None, "别的", away)])
    order = [hit.passage.id for hit in snapshot.search(query, top_k=5, today=date.today())]
    assert [hit.passage.id for hit in far.search(query, top_k=5, today=date.today())] == order


# --- the command ------------------------------------------------------------------------------------------------------


class Runner:
    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(cli.app, ["phrasings", *arguments])
        return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    monkeypatch.setenv("MINSHENG_DATA_DIR", str(tmp_path / "var"))
    for room in (cli, cli_phrasings):
        monkeypatch.setattr(room.Reader, "load", lambda *_, **__: HashEncoder())
    get_settings.cache_clear()
    handlers, level = logging.root.handlers[:], logging.root.level
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "one.md").write_text("---\nid: one\n---\n# 护照收费说明\n## 费用\n每本120元。", encoding="utf-8")
    assert CliRunner().invoke(cli.app, ["import", str(folder)]).exit_code == 0
    yield Runner()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
    get_settings.cache_clear()


def test_a_file_is_imported_line_by_line_and_written_again(run: Runner, tmp_path: Path) -> None:
    file = tmp_path / "问法.jsonl"
    lines = [
        '{"docid": "one", "label": "费用", "question": "办个本掏多少钱"}',
        '{"title": "护照收费说明", "question": "护照的事"}',
        "坏的",
        '{"title": "没有的", "label": "费用", "question": "多少钱"}',
        '{"docid": "one", "label": "第三条", "question": "多少钱"}',
        '{"docid": "one", "label": "费用"}',
        '{"docid": 5, "question": "多少钱"}',
        '{"docid": "one", "label": "费用", "question": "办个本掏多少钱"}',
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    code, out, _ = run("import", str(file))
    assert code == 1
    told = out.replace("\n", "")
    for expected in (
        "问法.jsonl 第 3 行：不是一行 JSON。",
        "问法.jsonl 第 4 行：没有标题是《没有的》的文件。",
        "问法.jsonl 第 5 行：《护照收费说明》没有“第三条”。它有：费用。",
        "问法.jsonl 第 6 行：缺少 question。",
        "问法.jsonl 第 7 行：“docid”应是文字。",
        "新增 2 条，已有 1 条，没有导入 5 条。",
    ):
        assert expected in told
    code, out, _ = run("list", "--json")
    first, second = json.loads(out)
    assert (first["label"], first["question"]) == (None, "护照的事")
    assert (second["label"], second["question"], second["used"]) == ("费用", "办个本掏多少钱", True)
    assert "办个本掏多少钱" in run("list", "--document", "one")[1]

    copy = tmp_path / "copy.jsonl"
    assert run("export", str(copy))[0] == 0
    assert copy.read_text("utf-8") == run("export")[1]
    for row in (first, second):
        assert run("remove", str(row["id"]))[0] == 0
    assert json.loads(run("list", "--json")[1]) == []
    assert run("import", str(copy), "--json")[:2] == (0, '{"added": 2, "unchanged": 0, "refused": []}\n')


def test_what_is_not_there_cannot_be_removed(run: Runner) -> None:
    code, _, err = run("remove", "7")
    assert code == 2
    assert "没有找到这条问法" in err


async def test_a_title_that_two_documents_have_is_not_enough(base: KnowledgeBase) -> None:
    await base.import_documents([heating("other")], publish=True)
    row = phrasing_files.Row("a.jsonl 第 1 行", None, "居民供热用热办法", None, "问")
    found, refused = phrasing_files.placed([row], await base.list_documents())
    assert found == []
    assert refused == [("a.jsonl 第 1 行", "标题是《居民供热用热办法》的文件有 2 份，请改写 docid：heating、other。")]


async def test_of_many_those_that_cannot_be_stored_are_named(base: KnowledgeBase, phrasings: Phrasings) -> None:
    found = [NewPhrasing("dogs", "办理登记", f"养狗第{n}问") for n in range(70)]
    report = await phrasings.add_all([*found, NewPhrasing("dogs", "没有", "问", "某处")], source="import", by="editor")
    assert (report.added, report.unchanged) == (70, 0)
    assert report.refused == [("某处", "《养犬登记办法》没有“没有”。它有：办理登记。")]
    again = await phrasings.add_all(found, source="import", by="editor")
    assert (again.added, again.unchanged) == (0, 70)
