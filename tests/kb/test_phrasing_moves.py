"""What becomes of phrasings when an edit is taken back, a successor was the wrong one, or staff removed some."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from assistant.db.models import KbPhrasing, now
from assistant.db.session import Database
from kb import phrasings as stored
from kb.documents import NewDocument
from kb.phrasings import NewPhrasing, PhrasingExists, Phrasings, told_of_left_behind
from kb.service import KbSettings, KnowledgeBase
from tests.kb.conftest import TODAY, HashEncoder, dogs, heating

DEGREES = "第二条 室内温度不得低于十八摄氏度，低于的应当退还热费。\n"
LAW = f"""第一条 为了加强供热管理，保障居民冬季取暖，制定本办法。
{DEGREES}第三条 家里不热的，先检查阀门，再打热力公司的电话报修。
第四条 本办法自公布之日起施行。"""
WITHOUT = LAW.replace(DEGREES, "").replace("第三条", "第二条").replace("第四条", "第三条")
ASKED, COLD = "多少度算达标", "屋里冻得慌咋弄"


@pytest.fixture
async def base(db: Database, encoder: HashEncoder, settings: KbSettings) -> KnowledgeBase:
    found = KnowledgeBase(db, encoder, settings=settings)
    await found.import_documents([law(), heating(), dogs()], publish=True)
    return found


@pytest.fixture
def phrasings(db: Database, encoder: HashEncoder, base: KnowledgeBase) -> Phrasings:
    return Phrasings(db, encoder)


def law(id_: str = "law", text: str = LAW) -> NewDocument:
    return NewDocument(id=id_, title="供热条例", text=text)


async def where(phrasings: Phrasings, document_id: str) -> list[tuple[str, str | None, bool]]:
    return [(one.text, one.label, one.used) for one in await phrasings.listed(document_id)]


# --- an edit taken back ----------------------------------------------------------------------------------------------


async def test_with_an_earlier_version_they_have_their_article_again(base: KnowledgeBase, phrasings: Phrasings) -> None:
    await phrasings.add("law", "第二条", ASKED, source="staff", by="editor")
    await phrasings.add("law", "第三条", COLD, source="staff", by="editor")
    await base.edit("law", {"text": WITHOUT}, base_version=1)
    assert await where(phrasings, "law") == [(COLD, "第二条", True), (ASKED, "第二条（原）", False)]
    await base.restore("law", 1, base_version=2)
    assert await where(phrasings, "law") == [(ASKED, "第二条", True), (COLD, "第三条", True)]


async def test_some_versions_later_the_article_is_found_under_another_number(
    base: KnowledgeBase, phrasings: Phrasings
) -> None:
    await phrasings.add("law", "第二条", ASKED, source="staff", by="editor")
    await base.edit("law", {"text": WITHOUT}, base_version=1)
    longer = WITHOUT + "\n第四条 供热单位应当公布服务电话，二十四小时有人接听。"
    await base.edit("law", {"text": longer}, base_version=2)
    assert await where(phrasings, "law") == [(ASKED, "第二条（原）", False)]
    again = longer + "\n" + DEGREES.replace("第二条", "第五条")
    await base.import_documents([law(text=again)], publish=True)
    assert await where(phrasings, "law") == [(ASKED, "第五条", True)]


async def test_what_was_there_all_along_does_not_become_the_article_that_was_lost(
    base: KnowledgeBase, phrasings: Phrasings
) -> None:
    alike = DEGREES.replace("第二条", "第五条").replace("十八", "十六").replace("热费", "费用")
    await base.import_documents([law(text=LAW + "\n" + alike)], publish=True)
    await phrasings.add("law", "第二条", ASKED, source="staff", by="editor")
    await base.edit("law", {"text": WITHOUT + "\n" + alike.replace("五", "四")}, base_version=2)
    before = await where(phrasings, "law")
    assert before == [(ASKED, "第二条（原）", False)]
    await base.edit("law", {"text": WITHOUT + "\n" + alike.replace("五", "四").strip() + "另行规定。"}, base_version=3)
    assert await where(phrasings, "law") == before


async def test_one_that_staff_have_put_elsewhere_stays_there(base: KnowledgeBase, phrasings: Phrasings) -> None:
    one = await phrasings.add("law", "第二条", ASKED, source="staff", by="editor")
    await base.edit("law", {"text": WITHOUT}, base_version=1)
    await phrasings.attach([one.id], "第一条", by="editor")
    await base.restore("law", 1, base_version=2)
    assert await where(phrasings, "law") == [(ASKED, "第一条", True)]


async def test_what_the_successor_lacks_is_there_once_it_is_written_into_it(
    base: KnowledgeBase, phrasings: Phrasings
) -> None:
    await phrasings.add("law", "第二条", ASKED, source="staff", by="editor")
    await base.import_documents([law("new", WITHOUT)], publish=True)
    await base.move("law", "supersede", successor="new")
    assert await where(phrasings, "new") == [(ASKED, "第二条（原）", False)]
    await base.import_documents([law("newer", LAW.replace("十八", "二十"))], publish=True)
    await base.move("new", "supersede", successor="newer")
    assert await where(phrasings, "newer") == [(ASKED, "第二条", True)]
    await base.edit("new", {"text": LAW}, base_version=2)
    assert await where(phrasings, "new") == [(ASKED, "第二条", True)]


async def test_of_an_unknown_earlier_text_nothing_is_guessed(
    db: Database, base: KnowledgeBase, phrasings: Phrasings
) -> None:
    await phrasings.add("law", "第二条", ASKED, source="staff", by="editor")
    await base.edit("law", {"text": WITHOUT}, base_version=1)
    async with db.begin() as session:
        await session.execute(update(KbPhrasing).values(lost_version=77))
    await base.restore("law", 1, base_version=2)
    assert await where(phrasings, "law") == [(ASKED, "第二条（原）", False)]


# --- the wrong successor ----------------------------------------------------------------------------------------------


async def test_when_superseding_is_undone_the_copies_go(base: KnowledgeBase, phrasings: Phrasings) -> None:
    await phrasings.add("law", "第三条", COLD, source="staff", by="editor")
    await phrasings.add("law", "第二条", ASKED, source="import", by="editor")
    await phrasings.add("dogs", "办理登记", "狗证", source="staff", by="editor")
    await base.move("law", "supersede", successor="dogs")
    assert len(await phrasings.listed("dogs")) == 3
    await base.move("law", "undo_supersede")
    assert await where(phrasings, "dogs") == [("狗证", "办理登记", True)]
    assert len(await phrasings.listed("law")) == 2
    assert await phrasings.left_behind("law") == {}
    # No mark is left that would keep them away.
    await base.move("law", "supersede", successor="dogs")
    assert len(await phrasings.listed("dogs")) == 3


async def test_copies_that_somebody_changed_or_wanted_there_stay_and_are_told(
    base: KnowledgeBase, phrasings: Phrasings
) -> None:
    for label, text in (("第三条", COLD), ("第三条", ASKED), (None, "热费咋退")):
        await phrasings.add("law", label, text, source="staff", by="editor")
    await base.move("law", "supersede", successor="dogs")
    (moved,) = [one for one in await phrasings.listed("dogs") if one.text == COLD]
    await phrasings.attach([moved.id], "办理登记", by="editor")
    with pytest.raises(PhrasingExists):
        await phrasings.add("dogs", None, "热费咋退", source="staff", by="editor")
    await base.move("law", "undo_supersede")
    assert await where(phrasings, "dogs") == [("热费咋退", None, True), (COLD, "办理登记", True)]
    left = await phrasings.left_behind("law")
    assert told_of_left_behind(left).endswith("请核对：《养犬登记办法》2 个。")
    await base.move("law", "supersede", successor="heating")
    assert await phrasings.left_behind("law") == left


async def test_another_successor_has_them_instead_of_the_first(base: KnowledgeBase, phrasings: Phrasings) -> None:
    await phrasings.add("law", None, COLD, source="staff", by="editor")
    await base.move("law", "supersede", successor="dogs")
    await base.move("dogs", "supersede", successor="heating", until=TODAY)
    assert await where(phrasings, "heating") == [(COLD, None, True)]
    await base.import_documents([law("new")], publish=True)
    await base.move("law", "supersede", successor="new")
    assert await where(phrasings, "new") == [(COLD, None, True)]
    assert [await phrasings.listed(id_) for id_ in ("dogs", "heating")] == [[], []]


async def test_a_copy_that_somebody_removed_does_not_come_again(base: KnowledgeBase, phrasings: Phrasings) -> None:
    await phrasings.add("law", None, COLD, source="staff", by="editor")
    for _ in range(2):
        await base.move("law", "supersede", successor="dogs", until=TODAY - timedelta(days=1))
        for one in await phrasings.listed("dogs"):
            await phrasings.remove(one.id)
        await base.move("law", "undo_supersede")
    await base.move("law", "supersede", successor="dogs")
    assert await phrasings.listed("dogs") == []
    assert [one.text for one in await phrasings.listed("law")] == [COLD]


# --- what a running process notices -----------------------------------------------------------------------------------


async def test_every_change_is_noticed_whatever_the_clock_says(
    db: Database, base: KnowledgeBase, phrasings: Phrasings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of two processes, one whose clock is behind.
    monkeypatch.setattr(stored, "now", lambda: now() - timedelta(days=1))
    seen: list[object] = []

    async def noticed() -> bool:
        async with db.read() as session:
            seen.append(await stored.stamp(session))
        return seen[-1] not in seen[:-1]

    one = await phrasings.add("law", "第三条", COLD, source="staff", by="editor")
    other = await phrasings.add("law", "第二条", ASKED, source="staff", by="editor")
    assert await noticed()
    await phrasings.attach([one.id], "第一条", by="editor")
    assert await noticed()
    await phrasings.attach([one.id], "第三条", by="editor")
    assert await noticed()
    await phrasings.remove(other.id)
    assert await noticed()
    # SQLite gives the number of a row that is gone to the next.
    await phrasings.add("law", "第二条", ASKED, source="staff", by="editor")
    assert await noticed()
    await base.edit("law", {"text": WITHOUT}, base_version=1)
    assert await noticed()
    await base.move("law", "supersede", successor="dogs")
    assert await noticed()
    await base.move("law", "undo_supersede")
    assert await noticed()


async def test_a_change_of_documents_alone_reads_no_phrasings_again(
    db: Database, base: KnowledgeBase, phrasings: Phrasings
) -> None:
    await phrasings.add("law", "第三条", COLD, source="staff", by="editor")
    async with db.read() as session:
        before = await stored.stamp(session)
    await base.edit("law", {"text": LAW + "\n第五条 本办法由城管局解释。"}, base_version=1)
    await base.import_documents([heating("other")], publish=True)
    async with db.read() as session:
        assert await stored.stamp(session) == before


async def test_another_process_finds_one_at_its_new_place(
    db: Database, base: KnowledgeBase, phrasings: Phrasings, encoder: HashEncoder, settings: KbSettings
) -> None:
    there = KnowledgeBase(db, encoder, settings=settings)
    one = await phrasings.add("law", "第三条", COLD, source="staff", by="editor")
    for place in ("第三条", "第一条"):
        await phrasings.attach([one.id], place, by="editor")
        assert [hit.article for hit in await there.search(COLD) if hit.phrased] == [place]


# --- several at once, some of them gone -------------------------------------------------------------------------------


async def test_one_that_a_colleague_removed_does_not_keep_the_others(base: KnowledgeBase, phrasings: Phrasings) -> None:
    found = [
        await phrasings.add("law", "第三条", text, source="import", by="editor") for text in (COLD, ASKED, "热费咋退")
    ]
    await phrasings.remove(found[1].id)
    done = await phrasings.attach([one.id for one in found], "第一条", by="editor")
    assert (done.moved, done.gone) == (2, [found[1].id])
    assert [(text, label) for text, label, _ in await where(phrasings, "law")] == [
        (COLD, "第一条"),
        ("热费咋退", "第一条"),
    ]
    none = await phrasings.attach([found[1].id], "第一条", by="editor")
    assert (none.moved, none.gone) == (0, [found[1].id])


# --- imported, removed, imported again --------------------------------------------------------------------------------


async def test_an_import_skips_what_was_removed_here_unless_told(
    db: Database, base: KnowledgeBase, phrasings: Phrasings
) -> None:
    rows = [NewPhrasing("law", "第三条", COLD), NewPhrasing("law", "第二条", ASKED)]
    await phrasings.add_all(rows, source="import", by="editor")
    (one,) = [one for one in await phrasings.listed() if one.text == COLD]
    await phrasings.remove(one.id)
    report = await phrasings.add_all(rows, source="import", by="editor")
    assert (report.added, report.unchanged, report.skipped) == (0, 1, 1)
    # Nor to another place of the document; another document never had it.
    elsewhere = [NewPhrasing("law", None, f" {COLD}"), NewPhrasing("dogs", None, COLD)]
    report = await phrasings.add_all(elsewhere, source="import", by="editor")
    assert (report.added, report.skipped) == (1, 1)
    report = await phrasings.add_all(rows, source="import", by="editor", again=True)
    assert (report.added, report.unchanged, report.skipped) == (1, 1, 0)
    async with db.read() as session:
        assert set(await session.scalars(select(KbPhrasing.source))) == {"import"}
    report = await phrasings.add_all(rows, source="import", by="editor")
    assert (report.added, report.unchanged, report.skipped) == (0, 2, 0)


async def test_what_was_removed_can_be_added_by_hand(base: KnowledgeBase, phrasings: Phrasings) -> None:
    one = await phrasings.add("law", "第三条", COLD, source="import", by="editor")
    await phrasings.remove(one.id)
    await phrasings.add("law", "第三条", COLD, source="staff", by="editor")
    report = await phrasings.add_all([NewPhrasing("law", "第三条", COLD)], source="import", by="editor")
    assert (report.added, report.unchanged, report.skipped) == (0, 1, 0)
