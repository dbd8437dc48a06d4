"""Findings as tasks in the database: one a finding, with a state and an owner.

Found again it stays one task; gone, it is closed by itself; back after 已处理, it is open again; after 不处理 never.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import KbFinding, now
from kb.errors import KbError
from kb.health.finding import Finding

State = Literal["待处理", "处理中", "已处理", "不处理"]
STATES: tuple[str, ...] = get_args(State)
OPEN = ("待处理", "处理中")
BY_ITSELF = "自动"


class FindingNotFound(KbError):
    status = 404
    code = "finding_not_found"
    detail = "没有找到这一条。"


@dataclass(frozen=True, slots=True)
class Task:
    """A stored finding. `seen_at`: when it was last found true."""

    id: int
    kind: str
    documents: list[str]
    detail: dict[str, Any]
    owner: str | None
    state: str
    found_at: datetime
    seen_at: datetime
    changed_by: str | None
    changed_at: datetime | None

    @property
    def summary(self) -> str:
        return str(self.detail.get("summary", ""))

    def as_dict(self) -> dict[str, Any]:
        """For JSON: times as ISO strings."""
        times = {"found_at": self.found_at.isoformat(), "seen_at": self.seen_at.isoformat()}
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "owner": self.owner,
            "documents": self.documents,
            **self.detail,
            **times,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What a run changed."""

    new: int = 0
    reopened: int = 0
    closed: int = 0
    open: int = 0


async def take_in(
    session: AsyncSession, findings: Sequence[Finding], checked: Collection[str], *, started: datetime
) -> Change:
    """Store what was found; open tasks of the kinds `checked` that were not found are closed.

    `started`: when the run began to look. What a person finished after that is left alone. Call it in a transaction of
    `Database.begin`; on PostgreSQL it locks the rows it reads.
    """
    found = {finding.key: finding for finding in findings}
    rows = {row.key: row for row in await session.scalars(_locked(session, checked))}
    moment = now()
    counted = Counter[str]()
    # In one order, so that two processes do not wait for each other's rows.
    for key, finding in sorted(found.items()):
        row = rows.get(key)
        if row is None:
            await _insert(session, finding, moment)
            counted["new"] += 1
            continue
        row.documents, row.detail, row.seen_at = list(finding.documents), finding.detail(), moment
        row.owner = row.owner or finding.owner
        if row.state == "已处理" and _came_back(row, finding, started):
            row.state, row.changed_by, row.changed_at = "待处理", BY_ITSELF, moment
            counted["reopened"] += 1
    for key, row in rows.items():
        if key not in found and row.state in OPEN and row.seen_at < started:
            row.state, row.changed_by, row.changed_at = "已处理", BY_ITSELF, moment
            counted["closed"] += 1
    await session.flush()
    still = await session.scalar(select(func.count()).select_from(KbFinding).where(KbFinding.state.in_(OPEN)))
    return Change(counted["new"], counted["reopened"], counted["closed"], still or 0)


async def listed(
    session: AsyncSession,
    *,
    kinds: Collection[str] = (),
    states: Collection[str] = (),
    limit: int | None = None,
) -> list[Task]:
    """Tasks, the latest found first; without `kinds` or `states`, of all."""
    query = select(KbFinding).order_by(KbFinding.found_at.desc(), KbFinding.id.desc())
    if kinds:
        query = query.where(KbFinding.kind.in_(kinds))
    if states:
        query = query.where(KbFinding.state.in_(states))
    return [_task(row) for row in await session.scalars(query.limit(limit))]


async def counts(session: AsyncSession) -> dict[tuple[str, str], int]:
    """Number of tasks by kind and state."""
    rows = await session.execute(select(KbFinding.kind, KbFinding.state, func.count()).group_by("kind", "state"))
    return {(row[0], row[1]): row[2] for row in rows}


async def change(
    session: AsyncSession, task_id: int, *, by: str, state: str | None = None, owner: str | None = None
) -> Task:
    """Set the state or the owner ("" takes the owner away). Raises FindingNotFound, KbError."""
    row = await session.get(KbFinding, task_id)
    if row is None:
        raise FindingNotFound
    if state is not None:
        if state not in STATES:
            raise KbError(f"状态只能是 {'、'.join(STATES)}。")
        row.state = state
    if owner is not None:
        if len(owner) > 80:
            raise KbError("负责人最多 80 个字。")
        row.owner = owner.strip() or None
    row.changed_by, row.changed_at = by, now()
    await session.flush()
    return _task(row)


async def forget_questions(session: AsyncSession, oldest: int | None) -> None:
    """Delete finished tasks that quote only questions before `oldest`, the first that is still kept (None: none is)."""
    query = select(KbFinding).where(KbFinding.kind == "unanswered", KbFinding.state.not_in(OPEN)).order_by(KbFinding.id)
    for row in await session.scalars(query):
        if oldest is None or max(row.detail.get("questions", ()), default=0) < oldest:
            await session.delete(row)


async def last_run(session: AsyncSession) -> datetime | None:
    """When findings of the nightly checks were last seen; feedback comes in by itself."""
    moment = await session.scalar(select(func.max(KbFinding.seen_at)).where(KbFinding.kind != "feedback"))
    return moment


def _came_back(row: KbFinding, finding: Finding, started: datetime) -> bool:
    if row.changed_at is None:
        return True
    return row.changed_at < (finding.since or started)


def _locked(session: AsyncSession, kinds: Collection[str]) -> Any:
    query = select(KbFinding).where(KbFinding.kind.in_(kinds)).order_by(KbFinding.id)
    return query.with_for_update() if session.get_bind().dialect.name == "postgresql" else query


async def _insert(session: AsyncSession, finding: Finding, moment: datetime) -> None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    # Another process may have found the same in the same moment.
    await session.execute(
        insert(KbFinding)
        .values(
            key=finding.key,
            kind=finding.kind,
            documents=list(finding.documents),
            detail=finding.detail(),
            owner=finding.owner,
            state="待处理",
            found_at=moment,
            seen_at=moment,
        )
        .on_conflict_do_nothing(index_elements=["key"])
    )


def _task(row: KbFinding) -> Task:
    return Task(
        row.id,
        row.kind,
        list(row.documents),
        dict(row.detail),
        row.owner,
        row.state,
        row.found_at,
        row.seen_at,
        row.changed_by,
        row.changed_at,
    )
