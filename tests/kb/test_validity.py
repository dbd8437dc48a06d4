"""Statuses: what a person may do, what superseding does to the old document, and that only what is in force answers."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from assistant.db.session import Database
from assistant.settings import PROJECT_ROOT
from kb import lifecycle
from kb.documents import STATUSES, Document, NewDocument, Status
from kb.errors import DocumentNotFound, InvalidDocument, MoveRefused
from kb.lifecycle import TRANSITIONS, Role
from kb.service import KbSettings, KnowledgeBase
from nlu.runtime import Reader
from tests.kb.conftest import BY_WORDS, TODAY, HashEncoder, heating

QUESTION = "室内温度不低于多少"
DAY = timedelta(days=1)


@pytest.fixture
def base(db: Database, encoder: HashEncoder, settings: KbSettings) -> KnowledgeBase:
    return KnowledgeBase(db, encoder, settings=settings)


async def _cited(base: KnowledgeBase, as_of: date | None = None) -> set[str]:
    return {c.document for c in (await base.answer(QUESTION, as_of=as_of)).citations}


async def test_a_superseded_document_ends_the_day_before_the_new_one_begins(base: KnowledgeBase) -> None:
    old, new = heating("old", degrees=16), heating("new", degrees=20, valid_from=date(2026, 3, 1))
    await base.import_documents([old, new], publish=True)
    moved = await base.move("old", "supersede", successor="new", by="陈编辑")
    assert (moved.status, moved.valid_to, moved.superseded_by) == ("superseded", date(2026, 2, 28), "new")
    assert await _cited(base) == {"new"}
    assert await _cited(base, date(2026, 2, 28)) == {"old"}
    assert await _cited(base, date(2026, 3, 1)) == {"new"}
    newest = (await base.versions("old"))[0]
    assert (newest.number, newest.changed_by) == (2, "陈编辑")


async def test_until_the_new_one_begins_the_old_one_answers(db: Database, encoder: HashEncoder) -> None:
    day = [TODAY]
    base = KnowledgeBase(db, encoder, settings=KbSettings(today=lambda: day[0], calibration=BY_WORDS))
    begins = TODAY + 10 * DAY
    await base.import_documents(
        [heating("old", degrees=16), heating("new", degrees=20, valid_from=begins)], publish=True
    )
    moved = await base.move("old", "supersede", successor="new")
    assert (moved.status, moved.valid_to) == ("published", begins - DAY)
    assert await _cited(base) == {"old"}
    day[0] = begins - DAY
    assert await _cited(base) == {"old"}
    day[0] = begins
    assert await _cited(base) == {"new"}
    found = await base.get("old")
    assert found is not None
    assert found.document.status_on(begins) == "superseded"


@pytest.mark.parametrize(
    ("valid_to", "until", "end"),
    [
        (None, date(2026, 5, 1), date(2026, 5, 1)),
        (date(2026, 1, 31), None, date(2026, 1, 31)),
        (date(2026, 12, 31), None, date(2026, 2, 28)),
    ],
)
async def test_the_end_may_be_given_and_is_never_put_off(
    base: KnowledgeBase, valid_to: date | None, until: date | None, end: date
) -> None:
    new = heating("new", degrees=20, valid_from=date(2026, 3, 1))
    await base.import_documents([heating("old", valid_to=valid_to), new], publish=True)
    assert (await base.move("old", "supersede", successor="new", until=until)).valid_to == end


async def test_superseding_can_be_taken_back(base: KnowledgeBase) -> None:
    old, new = heating("old", valid_to=date(2026, 12, 31)), heating("new", degrees=20, valid_from=TODAY)
    await base.import_documents([old, new], publish=True)
    await base.move("old", "supersede", successor="new")
    back = await base.move("old", "undo_supersede")
    assert (back.status, back.valid_to, back.superseded_by) == ("published", date(2026, 12, 31), None)
    assert {hit.document.id for hit in await base.search(QUESTION)} == {"old", "new"}


async def test_what_was_taken_out_of_use_does_not_come_back_with_its_superseding(base: KnowledgeBase) -> None:
    await base.import_documents([heating("old"), heating("new", degrees=20, valid_from=TODAY)], publish=True)
    await base.suspend("old")
    await base.move("old", "supersede", successor="new")
    await base.edit("old", {"owner": "陈编辑"}, base_version=2)
    back = await base.move("old", "undo_supersede")
    assert (back.status, back.valid_to, back.superseded_by) == ("suspended", None, None)
    assert await _cited(base) == {"new"}
    await base.publish("old")
    await base.move("old", "supersede", successor="new")
    assert (await base.move("old", "undo_supersede")).status == "published"


async def test_another_successor_may_be_named(base: KnowledgeBase) -> None:
    early, late = heating("early", valid_from=TODAY - 40 * DAY), heating("late", valid_from=TODAY + 10 * DAY)
    await base.import_documents([heating("old"), early, late], publish=True)
    assert (await base.move("old", "supersede", successor="early")).status == "superseded"
    moved = await base.move("old", "supersede", successor="late", until=TODAY - 5 * DAY)
    assert (moved.valid_to, moved.superseded_by) == (TODAY - 5 * DAY, "late")
    moved = await base.move("old", "supersede", successor="late")
    assert (moved.status, moved.valid_to) == ("published", TODAY + 9 * DAY)
    moved = await base.move("old", "supersede", successor="early")
    assert (moved.status, moved.valid_to) == ("superseded", TODAY - 41 * DAY)


@pytest.mark.parametrize("status", ["suspended", "expired", "superseded"])
async def test_an_import_brings_nothing_back_that_staff_ended(base: KnowledgeBase, status: str) -> None:
    new = heating("new", degrees=20, valid_from=TODAY)
    await base.import_documents([heating("old"), new], publish=True)
    match status:
        case "suspended":
            await base.suspend("old")
        case "expired":
            await base.move("old", "expire", until=TODAY - DAY)
        case _:
            await base.move("old", "supersede", successor="new")
    await base.import_documents([heating("old", degrees=17)], publish=True)
    found = await base.get("old")
    assert found is not None
    assert found.document.status == status
    assert (found.document.valid_to is None) == (status == "suspended")
    assert await _cited(base) == {"new"}


async def test_an_import_does_not_put_off_the_end_of_what_will_be_superseded(base: KnowledgeBase) -> None:
    begins = TODAY + 10 * DAY
    await base.import_documents([heating("old"), heating("new", degrees=20, valid_from=begins)], publish=True)
    await base.move("old", "supersede", successor="new")
    await base.import_documents([heating("old", degrees=17)], publish=True)
    assert await _cited(base, begins - DAY) == {"old"}
    assert await _cited(base, begins) == {"new"}


@pytest.mark.parametrize(
    ("operation", "more", "said"),
    [
        ("supersede", {}, "选择"),
        ("supersede", {"successor": "old"}, "自己"),
        ("supersede", {"successor": "none"}, "没有编号"),
        ("supersede", {"successor": "draft"}, "先发布"),
        ("supersede", {"successor": "over"}, "先发布"),
        ("supersede", {"successor": "new", "until": date(2019, 1, 1)}, "早于"),
        ("expire", {}, "最后有效的一天"),
        ("expire", {"until": TODAY}, "还没有过完"),
        ("expire", {"until": date(2019, 1, 1)}, "早于"),
        ("reinstate", {}, "不能“恢复有效”"),
        ("publish", {}, "不能“发布”"),
        ("burn", {}, "burn"),
    ],
)
async def test_what_may_not_be_done_says_why_and_changes_nothing(
    base: KnowledgeBase, operation: str, more: dict[str, object], said: str
) -> None:
    old = heating("old", valid_from=date(2020, 1, 1))
    over = heating("over", valid_to=date(2025, 1, 1))
    await base.import_documents([old, heating("new", valid_from=TODAY), over], publish=True)
    await base.add_draft(heating("draft"))
    with pytest.raises(MoveRefused) as error:
        await base.move("old", operation, **more)  # type: ignore[arg-type]
    assert said in error.value.detail
    found = await base.get("old")
    assert found is not None
    assert (found.document.status, found.document.valid_to, found.document.version) == ("published", None, 1)


async def test_the_end_of_what_will_be_superseded_may_be_moved_but_not_taken_away(base: KnowledgeBase) -> None:
    await base.import_documents([heating("old"), heating("new", valid_from=TODAY + 10 * DAY)], publish=True)
    await base.move("old", "supersede", successor="new")
    with pytest.raises(InvalidDocument, match="撤销替代"):
        await base.edit("old", {"valid_to": None}, base_version=2)
    edited = await base.edit("old", {"valid_to": TODAY + 20 * DAY}, base_version=2)
    assert (edited.valid_to, edited.superseded_by) == (TODAY + 20 * DAY, "new")


async def test_an_earlier_version_brings_no_earlier_end_back(base: KnowledgeBase) -> None:
    begins = TODAY + 10 * DAY
    old = heating("old", degrees=17, valid_to=TODAY + 400 * DAY)
    await base.import_documents([old, heating("new", degrees=20, valid_from=begins)], publish=True)
    await base.edit("old", {"text": heating(degrees=16).text}, base_version=1)
    await base.move("old", "supersede", successor="new")
    back = await base.restore("old", 1, base_version=3, by="陈编辑")
    assert (back.version, back.valid_to, back.superseded_by) == (4, begins - DAY, "new")
    assert (await base.version("old")).text == old.text
    await base.move("old", "undo_supersede")
    assert (await base.restore("old", 1, base_version=5)).valid_to == TODAY + 400 * DAY


async def test_what_ran_out_is_only_published_again_with_a_later_end(base: KnowledgeBase) -> None:
    await base.import_documents([heating(valid_from=date(2020, 1, 1))], publish=True)
    await base.move("heating", "expire", until=TODAY - DAY)
    assert await _cited(base) == set()
    assert await _cited(base, TODAY - DAY) == {"heating"}
    with pytest.raises(MoveRefused, match="先改失效日期"):
        await base.publish("heating")
    await base.edit("heating", {"valid_to": TODAY}, base_version=2)
    await base.publish("heating")
    assert await _cited(base) == {"heating"}


async def test_two_clicks_do_the_same_as_one(base: KnowledgeBase) -> None:
    await base.import_documents([heating()], publish=True)
    for _ in range(2):
        assert (await base.suspend("heating")).status == "suspended"
    for _ in range(2):
        assert (await base.publish("heating")).status == "published"
    with pytest.raises(DocumentNotFound):
        await base.move("none", "suspend")


async def test_documents_cannot_supersede_each_other(base: KnowledgeBase) -> None:
    await base.import_documents([heating("a"), heating("b", valid_from=TODAY + DAY)], publish=True)
    await base.move("a", "supersede", successor="b")
    with pytest.raises(MoveRefused, match="将被替代"):
        await base.move("b", "supersede", successor="a")


DAYS = st.none() | st.integers(-3, 3).map(lambda n: TODAY + n * DAY)


@given(st.sampled_from(STATUSES), DAYS, DAYS, st.sampled_from([None, "other"]), DAYS, DAYS)
def test_no_step_answers_from_what_has_ended(
    status: Status, start: date | None, end: date | None, successor: str | None, until: date | None, begins: date | None
) -> None:
    assume(end is not None or successor is None)
    document = Document("a", "甲", status, valid_from=start, valid_to=end, superseded_by=successor)
    heir = Document("b", "乙", "published", valid_from=begins)
    for step in lifecycle.allowed(document, Role.EDITOR):
        try:
            after = lifecycle.outcome(document, step, today=TODAY, successor=heir, until=until, end_before=end)
        except MoveRefused as refused:
            assert refused.detail
            continue
        assert after.status in (step.to, "published")
        became = Document("a", "甲", after.status, None, valid_from=start, valid_to=after.valid_to)
        if after.status == "superseded" or after.superseded_by:
            assert after.valid_to is not None
            for day in (after.valid_to + DAY, TODAY + 30 * DAY):
                assert not became.in_force(day)
        if step.to in ("suspended", "expired"):
            assert not became.in_force(TODAY)


def test_every_status_but_draft_is_reached_and_left_by_somebody() -> None:
    assert {t.to for t in TRANSITIONS.values()} == set(STATUSES) - {"draft"}
    assert set(itertools.chain.from_iterable(t.from_statuses for t in TRANSITIONS.values())) == set(STATUSES)


# --- the probes ----------------------------------------------------------------------------------------------------

MATTERS = (
    "住房公积金提取", "养犬登记", "居住证办理", "低保申请", "高龄津贴", "残疾人补贴", "出租车投诉", "电动车上牌",
    "燃气过户", "供热报修", "落户", "生育登记", "就业补贴", "老旧小区加装电梯", "食品经营许可", "个体户开业",
    "公租房申请", "医保报销", "学区查询", "公交优惠卡",
)  # fmt: skip
PROBES = 200


@dataclass
class Known:
    """What a document should be, kept apart from the knowledge base. `mark` is a number that only its text holds."""

    status: Status
    valid_from: date | None
    valid_to: date | None
    mark: str
    gone: list[str] = field(default_factory=list)

    def holds(self, as_of: date | None) -> bool:
        day = as_of or TODAY
        ended = self.status in ("expired", "superseded")
        if self.status in ("draft", "suspended") or (ended and (day >= TODAY or self.valid_to is None)):
            return False
        return (self.valid_from or date.min) <= day <= (self.valid_to or date.max)


class Probing:
    """Random documents and random steps with them; `known` is what should come of it."""

    def __init__(self, base: KnowledgeBase, seed: int) -> None:
        self.base = base
        self.chance = random.Random(seed)
        self.known: dict[str, Known] = {}
        self._marks: Iterator[int] = itertools.count(70001)

    async def fill(self) -> None:
        documents = []
        for number, matter in enumerate(MATTERS * 2):
            start, end = self._days()
            status = self.chance.choice(("published", "published", "published", "expired", "superseded"))
            known = Known(status, start, end, str(next(self._marks)))  # type: ignore[arg-type]
            self.known[f"d{number}"] = known
            documents.append(self._document(f"d{number}", matter, known))
        await self.base.import_documents(documents, publish=True)

    def _days(self) -> tuple[date | None, date | None]:
        near = [TODAY + n * DAY for n in (-400, -31, -1, 0, 1, 31)]
        start, end = self.chance.choice([None, *near]), self.chance.choice([None, None, *near])
        return (start, end) if not (start and end) or start <= end else (end, start)

    def _document(self, document_id: str, matter: str, known: Known) -> NewDocument:
        return NewDocument(
            id=document_id, title=f"{matter}办事指南", text=self.text(matter, known.mark), issuer="市政务服务中心",
            valid_from=known.valid_from, valid_to=known.valid_to, status=known.status,
        )  # fmt: skip

    @staticmethod
    def text(matter: str, mark: str) -> str:
        need = f"## 需要的材料\n{matter}需要身份证和{mark}号申请表。"
        return f"{need}\n## 办理时限\n{matter}在{mark}号窗口办理，五个工作日办结。"

    async def step(self) -> str:
        """Something that staff do to one document; the document."""
        name = self.chance.choice(list(self.known))
        known = self.known[name]
        found = await self.base.get(name)
        assert found is not None
        document = found.document
        steps = [t.operation for t in lifecycle.allowed(document, Role.EDITOR)]
        operation = self.chance.choice([*steps, "edit"])
        more: dict[str, object] = {}
        if operation == "edit":
            known.gone.append(known.mark)
            known.mark = str(next(self._marks))
            text = self.text(document.title.removesuffix("办事指南"), known.mark)
            await self.base.edit(name, {"text": text}, base_version=document.version)
            return name
        if operation == "supersede":
            more = {"successor": self.chance.choice(list(self.known))}
        if operation == "expire":
            more = {"until": TODAY - DAY}
        try:
            document = await self.base.move(name, operation, **more)  # type: ignore[arg-type]
        except MoveRefused:
            return name
        known.status, known.valid_to = document.status, document.valid_to
        return name

    def ask(self, name: str) -> tuple[str, date | None]:
        known = self.known[name]
        matter = MATTERS[int(name[1:]) % len(MATTERS)]
        edges = [day + n * DAY for day in (known.valid_from, known.valid_to) if day for n in (-1, 0, 1)]
        question = self.chance.choice(("{}要什么材料", "{}多久办好", "{}怎么办", "{}在几号窗口"))
        return question.format(matter), self.chance.choice([None, None, TODAY, TODAY + 60 * DAY, *edges])


async def test_nothing_that_is_not_in_force_is_ever_answered(db: Database) -> None:
    reader = Reader.load(PROJECT_ROOT / "models" / "nlu")
    base = KnowledgeBase(db, reader, settings=KbSettings(today=lambda: TODAY))
    probing = Probing(base, seed=20260615)
    await probing.fill()
    wrong, answered, past, edges = [], 0, 0, 0
    for number in range(PROBES):
        changed = await probing.step()
        name = changed if number % 2 else probing.chance.choice(list(probing.known))
        question, as_of = probing.ask(name)
        answer = await base.answer(question, as_of=as_of)
        answered += answer.outcome == "answered"
        past += answer.outcome == "answered" and as_of is not None
        used = {c.document for c in answer.citations} | {hit.document.id for hit in answer.hits}
        shown = answer.text + "".join(hit.passage.text for hit in answer.hits)
        for id_, known in probing.known.items():
            stale = [mark for mark in (*known.gone, *([] if known.holds(as_of) else [known.mark])) if mark in shown]
            if (id_ in used and not known.holds(as_of)) or stale:
                wrong.append((question, as_of, id_, stale))
        known = probing.known[name]
        if known.holds(as_of) and (as_of or TODAY) in (known.valid_from, known.valid_to):
            edges += 1
            assert name in used, f"{name} is in force on its boundary day {as_of or TODAY}"
    print(f"{PROBES} probes: {answered} answered, {past} of them as of a day; {edges} on boundary days; wrong: {wrong}")
    assert wrong == []
    # The probes say something only if they are answered and touch the edges.
    assert answered >= PROBES // 3
    assert past >= 20
    assert edges >= 5
