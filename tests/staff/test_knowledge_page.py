"""The list of 知识库: what is read every few seconds while a page is open."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from assistant.db.session import Database
from assistant.staff.pages import knowledge
from assistant.staff.pages.knowledge import DocumentList
from kb.service import KbSettings, KnowledgeBase, NewDocument
from tests.staff.encoder import CALIBRATION, PairEncoder


@pytest.fixture
def base(db: Database) -> KnowledgeBase:
    return KnowledgeBase(db, PairEncoder(), settings=KbSettings(calibration=CALIBRATION))


async def test_the_documents_are_read_only_where_something_changed(
    base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[str]] = []
    read: list[None] = []
    monkeypatch.setattr(knowledge, "_table", lambda rows, total, today: drawn.append([row.id for row in rows]))
    documents = base.list_documents

    async def counted() -> Any:
        read.append(None)
        return await documents()

    monkeypatch.setattr(base, "list_documents", counted)
    listing = DocumentList(SimpleNamespace(services=SimpleNamespace(kb=base)))  # type: ignore[arg-type]
    status, words = SimpleNamespace(value=""), SimpleNamespace(value="")
    listing._status, listing._words, listing._table = status, words, MagicMock()  # type: ignore[assignment]

    async def refreshed() -> tuple[int, int]:
        await listing.refresh()
        return len(read), len(drawn)

    await base.import_documents([NewDocument(id="rent", title="租房", text="第一条 可以租房。")], publish=True)
    assert await refreshed() == (1, 1)
    assert await refreshed() == (1, 1)
    words.value = "租"
    assert await refreshed() == (2, 1)
    await base.suspend("rent")
    assert await refreshed() == (3, 2)
    words.value = "买"
    assert await refreshed() == (4, 3)
    assert drawn == [["rent"], ["rent"], []]
