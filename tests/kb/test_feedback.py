"""What residents and agents say of an answer lands at its entry, and becomes a task where it is wrong."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from assistant.db.models import KbDocument, KbFeedback, now
from assistant.db.session import Database
from kb import feedback
from kb.errors import DocumentNotFound, KbError
from kb.health.look import Material, Seen, look
from kb.health.service import Health
from kb.service import KbSettings, KnowledgeBase
from tests.kb.conftest import HashEncoder, dogs, heating


async def in_this_process(material: Material) -> Seen:
    return await asyncio.to_thread(look, material)


@pytest.fixture
async def base(db: Database, encoder: HashEncoder, settings: KbSettings) -> KnowledgeBase:
    found = KnowledgeBase(db, encoder, settings=settings)
    await found.import_documents([heating(owner="张三"), dogs()], publish=True)
    async with db.begin() as session:
        await session.execute(update(KbDocument).values(updated_at=now() - timedelta(days=1)))
    return found


@pytest.fixture
def health(db: Database, base: KnowledgeBase) -> Health:
    return Health(db, base, lambda: "hash-1", look=in_this_process)


async def test_a_verdict_is_kept_at_the_entry_once_and_masked(db: Database, base: KnowledgeBase) -> None:
    await base.feedback("turn:1", "heating", "室温标准", "helpful", None, "resident")
    await base.feedback("turn:1", "heating", "室温标准", "wrong", "不对，打13812345678问过了", "resident")
    await base.feedback("agent:1", "heating", None, "helpful", "  ", "agent")
    async with db.read() as session:
        assert await feedback.counts(session, "heating") == {"wrong": 1, "helpful": 1}
        latest, earlier = await feedback.of_document(session, "heating", limit=9)
        assert await feedback.verdicts_of(session, ["turn:1", "nothing"]) == {"turn:1": "wrong"}
    assert (latest.source, latest.article, latest.comment) == ("agent", None, None)
    assert earlier.comment == "不对，打138****5678问过了"


@pytest.mark.parametrize(("verdict", "source"), [("good", "agent"), ("wrong", "robot")])
async def test_another_verdict_or_source_is_refused(base: KnowledgeBase, verdict: str, source: str) -> None:
    with pytest.raises(KbError):
        await base.feedback("k", "heating", None, verdict, None, source)


async def test_a_document_that_does_not_exist_is_refused(db: Database, base: KnowledgeBase) -> None:
    with pytest.raises(DocumentNotFound):
        await base.feedback("k", "nothing", None, "wrong", None, "agent")
    async with db.read() as session:
        assert list(await session.scalars(select(KbFeedback))) == []


async def test_wrong_becomes_a_task_at_once_and_helpful_none(base: KnowledgeBase, health: Health) -> None:
    await base.feedback("k1", "dogs", None, "helpful", None, "resident")
    assert await health.tasks() == []
    await base.feedback("k2", "heating", "室温标准", "wrong", "应该是20度", "resident")
    await base.feedback("k3", "heating", "室温标准", "outdated", None, "agent")
    (task,) = await health.tasks()
    assert (task.kind, task.owner, task.detail["count"]) == ("feedback", "张三", 2)
    assert "1 次被指不对，1 次被指过时" in task.summary
    assert [quote["text"] for quote in task.detail["quotes"]] == ["应该是20度"]


async def test_done_it_stays_done_until_it_is_said_again(base: KnowledgeBase, health: Health) -> None:
    await base.feedback("k1", "heating", None, "wrong", None, "agent")
    await base.feedback("k2", "dogs", None, "wrong", None, "agent")
    for task in await health.tasks():
        await health.change(task.id, by="editor", state="已处理" if task.documents == ["heating"] else "不处理")
    await health.check()
    assert {task.documents[0]: task.state for task in await health.tasks()} == {"heating": "已处理", "dogs": "不处理"}
    await base.feedback("k3", "heating", None, "outdated", None, "agent")
    await base.feedback("k4", "dogs", None, "wrong", None, "agent")
    assert {task.documents[0]: task.state for task in await health.tasks()} == {"heating": "待处理", "dogs": "不处理"}


async def test_a_changed_entry_answers_what_was_said_before(base: KnowledgeBase, health: Health) -> None:
    await base.feedback("k1", "heating", None, "wrong", None, "agent")
    await health.check()
    (task,) = await health.tasks(kinds=["feedback"])
    assert task.state == "待处理"
    await base.import_documents([heating(degrees=20, owner="张三")], publish=True)
    await health.check()
    (task,) = await health.tasks(kinds=["feedback"])
    assert (task.state, task.changed_by) == ("已处理", "自动")
