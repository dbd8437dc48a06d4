"""What the next question is answered from: published, in force, in every process, with vectors of one encoder."""

import asyncio
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select

from assistant.db.models import KbPassage
from assistant.db.session import Database
from kb.documents import NewDocument, Status
from kb.errors import DocumentExists, DocumentNotFound, InvalidDocument
from kb.service import KbSettings, KnowledgeBase
from tests.kb.conftest import BY_WORDS, TODAY, HashEncoder, dogs, heating

QUESTION = "室内温度不低于多少"


@pytest.fixture
def base(db: Database, encoder: HashEncoder, settings: KbSettings) -> KnowledgeBase:
    return KnowledgeBase(db, encoder, settings=settings)


async def _cited(base: KnowledgeBase, question: str = QUESTION, as_of: date | None = None) -> list[str]:
    result = await base.answer(question, as_of=as_of)
    assert (result.outcome == "answered") == bool(result.citations)
    return [c.document for c in result.citations]


async def test_an_empty_base_says_so(base: KnowledgeBase) -> None:
    await base.load()
    result = await base.answer(QUESTION)
    assert result.outcome == "not_found"
    assert "转人工" in result.text
    assert await base.search(QUESTION) == []


async def test_an_import_is_answered_from_at_once(base: KnowledgeBase) -> None:
    assert await _cited(base) == []
    seen: list[tuple[int, int]] = []
    report = await base.import_documents(
        [heating(), dogs()], publish=True, progress=lambda done, of: seen.append((done, of))
    )
    assert (report.added, report.passages, report.refused) == (2, 3, [])
    assert seen == [(2, 2)]
    result = await base.answer(QUESTION)
    assert "不低于18摄氏度" in result.text
    (citation,) = result.citations
    assert citation.as_dict() == {
        "document": "heating",
        "article": "室温标准",
        "title": "居民供热用热办法",
        "issuer": "城市管理局",
        "valid_from": None,
        "valid_to": None,
    }


async def test_importing_twice_changes_nothing_and_new_text_is_a_new_version(base: KnowledgeBase) -> None:
    await base.import_documents([heating()], publish=True)
    again = await base.import_documents([heating()], publish=True)
    assert (again.added, again.updated, again.unchanged) == (0, 0, 1)
    changed = await base.import_documents([heating(degrees=20)], publish=True)
    assert changed.updated == 1
    result = await base.answer(QUESTION)
    assert "不低于20摄氏度" in result.text
    assert "18" not in result.text
    found = await base.get("heating")
    assert found is not None
    assert found.document.version == 2
    assert [p.label for p in found.passages] == ["室温标准", "报修"]


async def test_a_bad_document_is_reported_and_the_rest_is_imported(base: KnowledgeBase) -> None:
    empty = NewDocument(id="empty", title="空", text=" ")
    twice = heating()
    report = await base.import_documents([empty, twice, twice, dogs("bad id!")], publish=True)
    assert report.added == 1
    assert [(r.name, r.reason) for r in report.refused][:2] == [
        ("empty", "没有正文。"),
        ("heating", "同一批里编号重复。"),
    ]
    assert report.refused[2].name == "bad id!"


async def test_a_draft_is_answered_from_after_publishing_and_no_more_after_suspending(base: KnowledgeBase) -> None:
    draft = await base.add_draft(heating())
    assert draft.document.status == "draft"
    assert len(draft.passages) == 2
    assert await _cited(base) == []
    await base.publish("heating")
    assert await _cited(base) == ["heating"]
    await base.suspend("heating")
    assert await _cited(base) == []
    assert await base.search(QUESTION) == []


async def test_a_reimport_does_not_bring_back_what_was_suspended(base: KnowledgeBase) -> None:
    await base.import_documents([heating()], publish=True)
    await base.suspend("heating")
    await base.import_documents([heating()], publish=True)
    await base.import_documents([heating(degrees=20)], publish=True)
    assert await _cited(base) == []


async def test_a_draft_cannot_replace_what_is_published(base: KnowledgeBase) -> None:
    await base.import_documents([heating()], publish=True)
    with pytest.raises(DocumentExists):
        await base.add_draft(heating(degrees=20))
    with pytest.raises(DocumentExists):
        await base.add_draft(heating(degrees=20), replace=True)
    report = await base.import_documents([heating(degrees=20)], publish=False)
    assert len(report.refused) == 1
    assert "18" in (await base.answer(QUESTION)).text


async def test_a_draft_may_be_replaced_by_a_draft(base: KnowledgeBase) -> None:
    await base.add_draft(heating())
    with pytest.raises(DocumentExists):
        await base.add_draft(heating(degrees=20))
    replaced = await base.add_draft(heating(degrees=20), replace=True)
    assert "20" in replaced.passages[0].text


async def test_what_does_not_exist_cannot_be_published(base: KnowledgeBase) -> None:
    with pytest.raises(DocumentNotFound):
        await base.publish("nothing")
    assert await base.get("nothing") is None


async def test_a_document_without_text_is_no_draft(base: KnowledgeBase) -> None:
    with pytest.raises(InvalidDocument):
        await base.add_draft(NewDocument(id="x", title="标题", text=""))


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "answered"),
    [
        (None, None, True),
        (date(2026, 6, 15), None, True),
        (date(2026, 6, 16), None, False),
        (None, date(2026, 6, 15), True),
        (None, date(2026, 6, 14), False),
        (date(2026, 6, 15), date(2026, 6, 15), True),
    ],
)
async def test_only_what_is_in_force_today_is_answered_and_boundary_days_are(
    base: KnowledgeBase, valid_from: date | None, valid_to: date | None, answered: bool
) -> None:
    await base.import_documents([heating(valid_from=valid_from, valid_to=valid_to)], publish=True)
    assert await _cited(base) == (["heating"] if answered else [])


async def test_the_day_turns_without_a_reload(db: Database, encoder: HashEncoder) -> None:
    day = [date(2026, 6, 15)]
    base = KnowledgeBase(db, encoder, settings=KbSettings(today=lambda: day[0], calibration=BY_WORDS))
    await base.import_documents([heating(valid_to=date(2026, 6, 15))], publish=True)
    assert await _cited(base) == ["heating"]
    day[0] = date(2026, 6, 16)
    assert await _cited(base) == []


async def test_as_of_a_day_the_rules_of_that_day_answer(base: KnowledgeBase) -> None:
    old = heating("old", degrees=16, valid_from=date(2020, 1, 1), valid_to=date(2024, 12, 31), status="superseded")
    new = heating("new", degrees=20, valid_from=date(2025, 1, 1))
    await base.import_documents([old, new], publish=True)
    assert await _cited(base) == ["new"]
    past = await base.answer(QUESTION, as_of=date(2024, 12, 31))
    assert [c.document for c in past.citations] == ["old"]
    assert past.text.startswith("按 2024年12月31日 有效的规定")
    assert "16摄氏度" in past.text
    assert await _cited(base, as_of=date(2019, 1, 1)) == []


@pytest.mark.parametrize("status", ["draft", "suspended", "expired", "superseded"])
async def test_no_other_status_is_answered_today(base: KnowledgeBase, status: str) -> None:
    await base.import_documents([heating(status=status, valid_to=date(2027, 1, 1))], publish=True)
    assert await _cited(base) == []
    assert await _cited(base, as_of=TODAY) == []


async def test_another_process_notices(db: Database, settings: KbSettings) -> None:
    here = KnowledgeBase(db, HashEncoder(), settings=settings)
    there_db = Database(db.url.render_as_string(hide_password=False))
    try:
        encoder = HashEncoder()
        there = KnowledgeBase(there_db, encoder, settings=settings)
        assert await _cited(there) == []
        await here.import_documents([heating()], publish=True)
        assert await _cited(there) == ["heating"]
        assert encoder.embedded == []  # the vectors came from the database
        await here.suspend("heating")
        assert await _cited(there) == []
    finally:
        await there_db.close()


async def test_another_encoder_makes_the_vectors_anew(db: Database, settings: KbSettings) -> None:
    await KnowledgeBase(db, HashEncoder("one"), settings=settings).import_documents([heating()], publish=True)
    encoder = HashEncoder("two", width=32)
    second = KnowledgeBase(db, encoder, settings=settings)
    assert await _cited(second) == ["heating"]
    assert len(encoder.embedded) == 2
    async with db.read() as session:
        rows = list(await session.scalars(select(KbPassage)))
    assert {row.encoder for row in rows} == {"two"}
    assert {len(row.embedding or b"") for row in rows} == {32 * 4}
    third = HashEncoder("two", width=32)
    await KnowledgeBase(db, third, settings=settings).load()
    assert third.embedded == []


async def test_searches_go_on_while_the_index_is_exchanged(base: KnowledgeBase) -> None:
    await base.import_documents([heating(), dogs()], publish=True)
    done = asyncio.Event()
    seen: set[str] = set()

    async def ask() -> None:
        while not done.is_set():
            result = await base.answer(QUESTION)
            assert result.outcome == "answered"
            assert len(result.citations) == 1
            # Never a mixture: the sentence is the one of the version it was found in.
            assert result.quotes[0] in result.text
            seen.add(result.quotes[0])

    async def change() -> None:
        for degrees in range(19, 25):
            await base.import_documents([heating(degrees=degrees)], publish=True)
            await asyncio.sleep(0.05)
        done.set()

    await asyncio.gather(ask(), ask(), ask(), change())
    assert "24" in (await base.answer(QUESTION)).text
    assert len(seen) > 1


async def test_loading_at_the_same_time_happens_once(base: KnowledgeBase, encoder: HashEncoder) -> None:
    await base.import_documents([heating()], publish=True)
    before = len(encoder.embedded)
    await asyncio.gather(*(base.load() for _ in range(8)))
    assert base.loaded
    assert len(encoder.embedded) == before


@pytest.mark.parametrize("status", ["suspended", "expired"])
async def test_importing_the_same_text_with_an_end_takes_it_off_the_air(base: KnowledgeBase, status: Status) -> None:
    await base.import_documents([heating()], publish=True)
    ended = await base.import_documents([replace(heating(), status=status)], publish=True)
    assert (ended.updated, ended.unchanged) == (1, 0)
    assert await _cited(base) == []
    # What staff or an import ended is not reopened by the same file as before.
    again = await base.import_documents([heating()], publish=True)
    assert (again.updated, again.unchanged) == (0, 1)
    assert [d.status for d in await base.list_documents()] == [status]


async def test_seeding_is_done_once_and_respects_the_staff(base: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "heating.md").write_text(
        f"---\nid: heating\n---\n# 居民供热用热办法\n{heating().text}", encoding="utf-8"
    )
    (tmp_path / "broken.pdf").write_bytes(b"no")
    first = await base.seed(tmp_path)
    assert (first.added, len(first.refused)) == (1, 1)
    await base.suspend("heating")
    second = await base.seed(tmp_path)
    assert (second.added, second.unchanged) == (0, 1)
    assert await _cited(base) == []
    assert [(d.id, d.status) for d in await base.list_documents()] == [("heating", "suspended")]
