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
from kb import cli, cli_phrasings, phrasing_files, ranking, store
from kb.documents import NewDocument
from kb.errors import DocumentNotFound, KbError
from kb.evaluate import build
from kb.health.look import Material, Seen
from kb.health.service import Health
from kb.keeper import FILE
from kb.phrasing_index import Phrased
from kb.phrasings import NewPhrasing, NoSuchPlace, PhrasingExists, PhrasingNotFound, Phrasings, PlaceNotPlain
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


TWICE = """# 新办
## 申请材料
身份证和户口簿，到窗口提交。
# 变更
## 申请材料
原证件，窗口当场收回旧的。
# 注销
只要一张申请表就行了。"""


async def test_of_sections_of_the_same_name_only_the_one_it_was_attached_to_is_found(
    base: KnowledgeBase, phrasings: Phrasings
) -> None:
    await base.import_documents([NewDocument(id="permit", title="登记办法", text=TWICE)], publish=True)
    assert await phrasings.places("permit") == ["新办 / 申请材料", "变更 / 申请材料", "注销"]
    one = await phrasings.add("permit", "变更 / 申请材料", COLD, source="staff", by="editor")
    found = [hit.passage.article for hit in await base.search(COLD) if hit.phrased]
    assert found == ["变更 / 申请材料"]
    assert one.place == "《登记办法》变更 / 申请材料"
    with pytest.raises(PlaceNotPlain, match="有 2 处“申请材料”，请写全：新办 / 申请材料、变更 / 申请材料。"):
        await phrasings.add("permit", "申请材料", COLD, source="staff", by="editor")


async def test_sections_with_the_same_headings_throughout_are_told_apart(
    base: KnowledgeBase, phrasings: Phrasings
) -> None:
    text = "## 材料\n身份证和户口簿，到窗口提交。\n## 时限\n五天。\n## 材料\n原证件，窗口当场收回旧的。"
    await base.import_documents([NewDocument(id="permit", title="登记办法", text=text)], publish=True)
    assert await phrasings.places("permit") == ["材料（第 1 处）", "时限", "材料（第 2 处）"]
    await phrasings.add("permit", "材料（第 2 处）", COLD, source="staff", by="editor")
    found = [hit.passage.text for hit in await base.search(COLD) if hit.phrased]
    assert found == ["原证件，窗口当场收回旧的。"]


async def test_one_stored_before_by_its_innermost_heading_is_used_where_that_is_plain(
    db: Database, base: KnowledgeBase, phrasings: Phrasings
) -> None:
    await base.import_documents([NewDocument(id="permit", title="登记办法", text=TWICE)], publish=True)
    one = await phrasings.add("permit", "变更 / 申请材料", COLD, source="staff", by="editor")
    for label, used in (("申请材料", False), ("注销", True), ("申请材料", False)):
        async with db.begin() as session:
            await store.count_up(session)
            await session.execute(update(KbPhrasing).values(label=label))
            await store.count_phrasings_up(session)
        (stored,) = await phrasings.listed("permit")
        assert (stored.used, stored.several) == (used, not used)
        assert bool(await phrased(base)) is used
    await phrasings.attach([one.id], "新办 / 申请材料", by="editor")
    assert [hit.passage.article for hit in await base.search(COLD) if hit.phrased] == ["新办 / 申请材料"]


async def test_numbers_of_people_are_masked(base: KnowledgeBase, phrasings: Phrasings) -> None:
    one = await phrasings.add("heating", "报修", "我电话13812345678，家里不热", source="hit_test", by="editor")
    assert one.text == "我电话138****5678，家里不热"


async def test_a_number_is_refused_in_what_residents_asked(base: KnowledgeBase, phrasings: Phrasings) -> None:
    new = NewPhrasing("heating", "报修", "我身份证410105199001011234，家里不热")
    report = await phrasings.add_all([new], source="unanswered", by="editor")
    assert report.added == 0
    ((_, reason),) = report.refused
    assert reason == "这句话里还有电话或证件、银行卡号码（410105********1234），请删去后再保存。"
    assert await phrasings.listed() == []


LAW = """第一条 为了加强供热管理，保障居民冬季取暖，制定本办法。
第二条 室内温度不得低于十八摄氏度，低于的应当退还热费。
第三条 家里不热的，先检查阀门，再打热力公司的电话报修。
第四条 本办法自公布之日起施行。"""
# An article was put in, the one on temperature changed, the one on repairs kept.
NEW_LAW = """第一条 为了加强供热管理，保障居民冬季取暖，制定本办法。
第二条 供热单位应当公布服务电话，二十四小时有人接听。
第三条 室内温度不得低于二十摄氏度，低于的应当退还热费。
第四条 家里不热的，先检查阀门，再打热力公司的电话报修。
第五条 本办法自公布之日起施行。"""


async def test_they_follow_their_article_to_its_new_number(base: KnowledgeBase, phrasings: Phrasings) -> None:
    await base.import_documents([NewDocument(id="law", title="供热条例", text=LAW)], publish=True)
    await phrasings.add("law", "第三条", COLD, source="staff", by="editor")
    await phrasings.add("law", "第二条", "多少度算达标", source="staff", by="editor")
    await base.edit("law", {"text": NEW_LAW}, base_version=1)
    assert [(one.label, one.text) for one in await phrasings.listed("law")] == [
        ("第三条", "多少度算达标"),
        ("第四条", COLD),
    ]
    assert await phrased(base) == [("law", "第四条")]
    await base.import_documents([NewDocument(id="law", title="供热条例", text=LAW)], publish=True)
    assert await phrased(base) == [("law", "第三条")]


async def test_one_whose_article_went_is_not_given_to_the_one_that_has_its_number_now(
    base: KnowledgeBase, phrasings: Phrasings
) -> None:
    await base.import_documents([NewDocument(id="law", title="供热条例", text=LAW)], publish=True)
    one = await phrasings.add("law", "第二条", "多少度算达标", source="staff", by="editor")
    without = LAW.replace(LAW.splitlines()[1] + "\n", "").replace("第三条", "第二条").replace("第四条", "第三条")
    await base.edit("law", {"text": without}, base_version=1)
    (left,) = await phrasings.listed("law")
    assert (left.label, left.used) == ("第二条（原）", False)
    assert (await phrasings.attach([one.id], "第一条", by="other")).moved == 1
    (there,) = await phrasings.listed("law")
    assert (there.label, there.used, there.actor) == ("第一条", True, "other")


async def test_the_document_that_supersedes_theirs_has_them_too(base: KnowledgeBase, phrasings: Phrasings) -> None:
    old, new = NewDocument(id="old", title="供热条例", text=LAW), NewDocument(id="new", title="供热条例", text=NEW_LAW)
    gone = "## 退费\n停热超过三天的，按天退还热费。"
    await base.import_documents([old, new, heating("a"), replace(heating("b"), text=gone)], publish=True)
    await phrasings.add("old", "第三条", COLD, source="staff", by="editor")
    await phrasings.add("old", None, "供热的事", source="staff", by="editor")
    await phrasings.add("a", "报修", "师傅啥时候来", source="staff", by="editor")
    await base.move("old", "supersede", successor="new", until=TODAY)
    assert [(one.label, one.text, one.used) for one in await phrasings.listed("new")] == [
        (None, "供热的事", True),
        ("第四条", COLD, True),
    ]
    assert len(await phrasings.listed("old")) == 2
    # Its successor has no such section: it is offered there, and used nowhere.
    await base.move("a", "supersede", successor="b")
    (offered,) = await phrasings.listed("b")
    assert (offered.label, offered.used) == ("报修", False)
    # The last day is changed: nothing comes again.
    await base.move("old", "supersede", successor="new", until=TODAY - timedelta(days=1))
    assert len(await phrasings.listed("new")) == 2


async def test_what_is_put_to_a_place_that_has_it_goes(base: KnowledgeBase, phrasings: Phrasings) -> None:
    here = await phrasings.add("heating", "报修", COLD, source="staff", by="editor")
    there = await phrasings.add("heating", "室温标准", COLD, source="staff", by="editor")
    with pytest.raises(NoSuchPlace):
        await phrasings.attach([there.id], "第九条", by="editor")
    await phrasings.attach([there.id], "报修", by="editor")
    assert [one.id for one in await phrasings.listed()] == [here.id]


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
    await base.edit("heating", {"text": whole.split("## 报修")[0] + "## 投诉\n拨打12345。"}, base_version=1)
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


def city(folder: Path, *rows: dict[str, str]) -> Path:
    """A city's folder with one entry and a file of phrasings; returns that of the entries."""
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "heating.md").write_text(
        "---\nid: heating\ntitle: 居民供热用热办法\nstatus: published\n---\n## 报修\n打热力公司电话。\n", "utf-8"
    )
    (folder / "phrasings").mkdir(exist_ok=True)
    (folder / "phrasings" / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return folder / "policies"


SEEDED_ROW = {"title": "居民供热用热办法", "label": "报修", "question": COLD}


async def test_seeding_brings_those_of_the_citys_entries_once(
    db: Database, encoder: HashEncoder, settings: KbSettings, tmp_path: Path
) -> None:
    policies = city(tmp_path, SEEDED_ROW, {"title": "别的办法", "label": "第一条", "question": "不相干"})
    base, phrasings = KnowledgeBase(db, encoder, settings=settings), Phrasings(db, encoder)
    report = await base.seed(policies)
    assert report.refused == []
    (one,) = await phrasings.listed()
    assert (one.text, one.source) == (COLD, "import")
    await phrasings.remove(one.id)
    assert await phrased(base) == []
    with pytest.raises(PhrasingNotFound):
        await phrasings.remove(one.id)
    await base.seed(policies)
    assert await phrasings.listed() == []
    async with db.read() as session:
        assert await session.scalar(select(func.count()).where(KbPhrasing.text == COLD)) == 0
    # What staff add again, and what the file has new, is there.
    await phrasings.add("heating", "报修", COLD, source="staff", by="editor")
    city(tmp_path, SEEDED_ROW, SEEDED_ROW | {"question": "冷得很"})
    await base.seed(policies)
    assert sorted(one.text for one in await phrasings.listed()) == sorted([COLD, "冷得很"])
    assert await phrased(base) == [("heating", "报修")]


async def test_a_start_that_was_killed_before_the_phrasings_is_taken_up(
    db: Database, encoder: HashEncoder, settings: KbSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = city(tmp_path, SEEDED_ROW, SEEDED_ROW | {"question": "冷得很"})
    base, phrasings = KnowledgeBase(db, encoder, settings=settings), Phrasings(db, encoder)

    class Killed(Exception):
        pass

    async def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Phrasings, "add_all", killed)
        with pytest.raises(Killed):
            await base.seed(policies)
    assert [document.id for document in await base.list_documents()] == ["heating"]
    # The next one gets to the first of the two.
    await phrasings.add_all([NewPhrasing("heating", "报修", COLD)], source="import", by="seed")
    await base.seed(policies)
    assert sorted(one.text for one in await phrasings.listed()) == sorted([COLD, "冷得很"])


async def test_a_seeded_phrasing_that_was_put_elsewhere_does_not_come_back(
    db: Database, encoder: HashEncoder, settings: KbSettings, tmp_path: Path
) -> None:
    policies = city(tmp_path, SEEDED_ROW)
    base, phrasings = KnowledgeBase(db, encoder, settings=settings), Phrasings(db, encoder)
    await base.seed(policies)
    (one,) = await phrasings.listed()
    await phrasings.attach([one.id], None, by="editor")
    await base.seed(policies)
    assert [one.label for one in await phrasings.listed()] == [None]


async def test_what_staff_removed_does_not_come_back_with_another_row_of_the_same_question(
    db: Database, encoder: HashEncoder, settings: KbSettings, tmp_path: Path
) -> None:
    policies = city(tmp_path, SEEDED_ROW, SEEDED_ROW, SEEDED_ROW | {"label": "没有的小节"})
    base, phrasings = KnowledgeBase(db, encoder, settings=settings), Phrasings(db, encoder)
    await base.seed(policies)
    (one,) = await phrasings.listed()
    await phrasings.add("heating", None, COLD, source="staff", by="editor")
    # The whole document has the question already: what came with the city goes, for good.
    await phrasings.attach([one.id], None, by="editor")
    city(tmp_path, SEEDED_ROW, SEEDED_ROW | {"label": None})
    await base.seed(policies)
    assert [(one.label, one.source) for one in await phrasings.listed()] == [(None, "staff")]


async def test_a_row_whose_place_is_gone_costs_nothing_at_the_next_start(
    db: Database, encoder: HashEncoder, settings: KbSettings, tmp_path: Path
) -> None:
    policies = city(tmp_path, SEEDED_ROW, SEEDED_ROW | {"label": "没有的小节", "question": "冷得很"})
    base = KnowledgeBase(db, encoder, settings=settings)
    report = await base.seed(policies)
    assert [refusal.reason for refusal in report.refused] == ["文件里没有“没有的小节”，或者不止一处。"]
    revision = await base.revision()
    await base.seed(policies)
    assert await base.revision() == revision


async def test_a_row_that_names_a_document_that_is_not_there_is_told(
    db: Database, encoder: HashEncoder, settings: KbSettings, tmp_path: Path
) -> None:
    row = {"docid": "dogs", "label": "办理登记", "question": "狗证咋办"}
    policies = city(tmp_path, SEEDED_ROW, row, row | {"question": "养狗要证不"})
    base, phrasings = KnowledgeBase(db, encoder, settings=settings), Phrasings(db, encoder)
    with structlog.testing.capture_logs() as logs:
        report = await base.seed(policies)
    (told,) = [entry for entry in logs if entry["event"] == "kb_phrasings_without_document"]
    assert (told["file"], told["line"], told["rows"]) == (str(tmp_path / "phrasings" / "a.jsonl"), 2, 2)
    assert (told["document"], told["log_level"]) == ("dogs", "warning")
    assert "import a document with this id" in told["remedy"]
    assert [refusal.reason for refusal in report.refused] == ["没有编号为 dogs 的文件。"] * 2
    await base.import_documents([dogs()], publish=True)
    await base.seed(policies)
    assert len(await phrasings.listed("dogs")) == 2


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
    code, out, _ = run("import", str(copy))
    assert code == 0
    assert "跳过 2 条：以前导入过，在这里删除了。要重新导入，请加 --again。" in out.replace("\n", "")
    assert json.loads(run("list", "--json")[1]) == []
    assert run("import", str(copy), "--again", "--json")[:2] == (
        0,
        '{"added": 2, "unchanged": 0, "skipped": 0, "matched": [], "refused": []}\n',
    )


def test_what_is_not_there_cannot_be_removed(run: Runner) -> None:
    code, _, err = run("remove", "7")
    assert code == 2
    assert "没有找到这条问法" in err


async def test_a_title_that_two_documents_have_is_not_enough(base: KnowledgeBase) -> None:
    await base.import_documents([heating("other")], publish=True)
    row = phrasing_files.Row("a.jsonl", 1, None, "居民供热用热办法", None, "问")
    placed = phrasing_files.placed([row], await base.list_documents())
    assert placed.found == []
    assert placed.refused == [
        ("a.jsonl 第 1 行", "标题是《居民供热用热办法》的文件有 2 份，请改写 docid：heating、other。")
    ]


async def test_of_many_those_that_cannot_be_stored_are_named(base: KnowledgeBase, phrasings: Phrasings) -> None:
    found = [NewPhrasing("dogs", "办理登记", f"养狗第{n}问") for n in range(70)]
    report = await phrasings.add_all([*found, NewPhrasing("dogs", "没有", "问", "某处")], source="import", by="editor")
    assert (report.added, report.unchanged) == (70, 0)
    assert report.refused == [("某处", "《养犬登记办法》没有“没有”。它有：办理登记。")]
    again = await phrasings.add_all(found, source="import", by="editor")
    assert (again.added, again.unchanged) == (0, 70)


async def test_an_id_of_another_installation_is_matched_by_title_and_number(base: KnowledgeBase) -> None:
    await base.import_documents(
        [heating("first", document_number="郑政〔2020〕1号"), heating("second", document_number="郑政〔2024〕9号")],
        publish=True,
    )
    documents = [document for document in await base.list_documents() if document.id != "heating"]
    title = "居民供热用热办法"

    def row(line: int, docid: str | None, title: str | None, number: str | None = None) -> phrasing_files.Row:
        return phrasing_files.Row("a.jsonl", line, docid, title, "报修", f"问{line}", number)

    placed = phrasing_files.placed(
        [
            row(1, "9f2c", title, "郑政〔2024〕9号"),
            row(2, "9f2c", title, "郑政〔2024〕9号"),
            row(3, "dogs", "养犬登记办法"),
            row(4, "dogs", title, "郑政〔2020〕1号"),
            row(5, "9f2c", title, "郑政〔1999〕3号"),
            row(6, "dogs", "养犬管理和登记办法"),
            row(7, "9f2c", None),
            row(8, "dogs", "停车收费标准"),
        ],
        documents,
    )
    assert [(new.text, new.document_id) for new in placed.found] == [
        ("问1", "second"),
        ("问2", "second"),
        ("问3", "dogs"),
        ("问6", "dogs"),
    ]
    assert placed.matched == [phrasing_files.Matched("9f2c", title, "second", 2)]
    assert placed.refused == [
        ("a.jsonl 第 4 行", f"编号 dogs 在这里是《养犬登记办法》，不是《{title}》，请改 docid 或 title。"),
        ("a.jsonl 第 5 行", f"没有编号为 9f2c 的文件，也没有标题是《{title}》、文号是“郑政〔1999〕3号”的文件。"),
        ("a.jsonl 第 7 行", "没有编号为 9f2c 的文件。"),
        ("a.jsonl 第 8 行", "编号 dogs 在这里是《养犬登记办法》，不是《停车收费标准》，请改 docid 或 title。"),
    ]


def test_what_another_installation_exported_is_imported_and_told(run: Runner, tmp_path: Path) -> None:
    file = tmp_path / "问法.jsonl"
    row = {"docid": "other-7", "title": "护照收费说明", "document_number": None, "label": "费用", "question": "多少钱"}
    file.write_text(json.dumps(row), encoding="utf-8")
    code, out, _ = run("import", str(file))
    assert code == 0
    assert "编号 other-7 不在这里，按标题《护照收费说明》对到编号 one：1 条。" in out.replace("\n", "")
