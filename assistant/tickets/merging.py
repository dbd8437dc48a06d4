"""One event, many callers: what merging means for the tickets beside the one that an operation is about.

A ticket that was merged (a follower) keeps its number, its requester and its conversation, but is acted on with its
lead ticket only. Followers of followers do not exist: whoever names a follower means its lead.
"""

from dataclasses import replace

from assistant.privacy import mask
from assistant.tickets.changes import Case, Given, state_before
from assistant.tickets.course import MERGING, SYSTEM, Course
from assistant.tickets.errors import InvalidDraft, TicketNotFound, TransitionRefused
from assistant.tickets.model import HistoryEntry, Ticket
from assistant.tickets.states import State
from assistant.tickets.store import StaleTicket
from assistant.tickets.telling import TOLD_TO_FOLLOWERS

__all__ = ["after_step", "can_lead", "follow", "lead_of", "merge", "needs_followers", "unmerge"]

_NOTE_CHARS = 300
# What happens to a lead ticket and changes or is told to its followers.
_NEEDS_FOLLOWERS = TOLD_TO_FOLLOWERS | {"resolve", "merge", "withdraw"}
_LEADS = frozenset({State.TO_DISPATCH, State.DISPATCHED, State.HANDLING, State.TO_SUPPLEMENT})


def needs_followers(operation: str) -> bool:
    return operation in _NEEDS_FOLLOWERS


def can_lead(case: Case) -> bool:
    """Whether others may be merged into it: somebody acts on it, or will when the resident has answered."""
    state = case.ticket.state
    behind = state_before(case.history) if state is State.TO_SUPPLEMENT else state
    return state in _LEADS and behind is not State.TO_ACCEPT


def lead_of(course: Course, number: str) -> Case:
    """The ticket that one means who names `number`. Raises TicketNotFound."""
    case = course.cases.get(number)
    if case is None:
        raise TicketNotFound("没有找到要并入的工单，请核对编号。")
    if case.ticket.state is State.MERGED and case.ticket.merged_into:
        return course.cases[case.ticket.merged_into]
    return case


async def merge(
    course: Course, case: Case, given: Given, followers: list[Case], *, key: str, actor: str
) -> HistoryEntry:
    """Merge `case`, and what was merged into it, into the ticket that `given.into` means."""
    assert given.into is not None
    lead = lead_of(course, given.into)
    if lead is case:
        raise InvalidDraft("不能并入自己或已并入本单的工单。")
    if not can_lead(lead):
        raise TransitionRefused("接受并案", lead.ticket.state)
    entry = await course.step(case, "merge", replace(given, lead=lead.number), actor=actor, key=key)
    await _joined(course, lead, case)
    for follower in followers:
        await course.step(follower, "move", Given(into=lead.number), actor=MERGING)
    callers = 1 + await course.work.count_followers(lead.number) + 1 + len(followers)
    course.tell(case, entry, acted_on=lead.ticket, callers=callers)
    return entry


async def follow(course: Course, case: Case, lead: Case, *, actor: str) -> None:
    """A new ticket that its requester lets go along with `lead`: it is filed nowhere by itself."""
    await course.step(case, "merge", Given(into=lead.number), actor=actor)
    await _joined(course, lead, case)


async def _joined(course: Course, lead: Case, case: Case) -> None:
    text = mask(" ".join(case.ticket.description.split()))[0][:_NOTE_CHARS]
    await course.step(lead, "join", Given(note=f"又有居民反映同一事项：{text}"), actor=MERGING)


async def unmerge(course: Course, case: Case, given: Given, *, key: str, actor: str) -> HistoryEntry:
    """Act on `case` by itself again: in its former state, filed anew."""
    entry = await course.step(case, "unmerge", given, actor=actor, key=key)
    if case.ticket.state is State.TO_ACCEPT:
        # It never was a ticket of its own. That it is one now was just decided, and nobody else will look at it.
        await course.accept(case, SYSTEM)
    course.tell(case, entry)
    return entry


async def after_step(course: Course, case: Case, entry: HistoryEntry, followers: list[Case]) -> None:
    """What a step of a lead ticket means to its followers."""
    if entry.operation == "resolve":
        answer = Given(note=entry.note, public_reply=entry.public_reply, unit=case.ticket.lead_unit)
        for follower in followers:
            told = await course.step(follower, "resolve", answer, actor=MERGING)
            course.tell(follower, told)
    elif entry.operation == "withdraw":
        await _go_on_without(course, case.ticket, followers)
    elif entry.operation in TOLD_TO_FOLLOWERS:
        for follower in followers:
            course.tell(follower, entry, acted_on=case.ticket)


async def _go_on_without(course: Course, former: Ticket, followers: list[Case]) -> None:
    """The lead ticket was withdrawn, the others still wait: the eldest of them leads."""
    if not followers:
        return
    eldest, *others = followers
    given = Given(note=f"工单{former.number}已撤单，本单单独办理", unit=former.lead_unit)
    await unmerge(course, eldest, given, key="", actor=MERGING)
    for other in others:
        await course.step(other, "move", Given(into=eldest.number), actor=MERGING)


async def followers_of(course: Course, number: str) -> list[Case]:
    """The tickets merged into `number`, the eldest first. Raises StaleTicket when one is not locked."""
    numbers = await course.work.followers(number)
    if not course.cases.keys() >= set(numbers):
        raise StaleTicket
    return [course.cases[each] for each in numbers]
