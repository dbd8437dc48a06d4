"""Learning from returns, of one application process: report, proposals, trials, what is in use and who decided it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from assistant.city import City
from assistant.db.models import RoutingProposal, now
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.errors import BadInput, ConfigError, Conflict, MinshengError
from assistant.returns import store
from assistant.returns.cases import ReturnCase, returns_of
from assistant.returns.model import (
    LIVE,
    NEW,
    OFF,
    REJECTED,
    TRIED,
    UNDECIDED,
    Change,
    Example,
    ProposalView,
    checked_words,
    learning,
)
from assistant.returns.report import COMPARED_WEEKS, Report, report, week_of, week_start
from assistant.returns.standing_out import Split
from assistant.returns.suggesting import LEAST, Means, Suggestion, matters_for, suggest, suggest_one
from assistant.returns.trial import FILE, Routing, read_cases, try_out, with_changes
from assistant.tickets.routing import Router

log = structlog.get_logger()

POLL_S = 2.0
LEARNED_FROM: Final = timedelta(days=180)
MOST_CASES: Final = 1000
MOST_OTHERS: Final = 3000
_DECIDED: Final = (LIVE, REJECTED, OFF)


class CannotTry(MinshengError):
    status = 503
    code = "cannot_try"
    detail = f"城市目录里的 {FILE} 有错，现在没法试算，请联系运维。"


class Learning:
    """What returned tickets teach the responsibility matrix.

    Args:
        db: the migrated database.
        city: gets the changes in use.
        city_dir: its folder, where the frozen test set lies (`trial.FILE`).
        split: a text's words in order (`kb.words.words`).
        routing: makes the router of a city, the same that routes tickets.
    """

    def __init__(self, db: Database, city: City, city_dir: Path, split: Split, *, routing: Routing = Router) -> None:
        self._db, self._city, self._split, self._routing = db, city, split, routing
        self._cases_file = city_dir / FILE
        self._tickets = SqlTicketStore(db)
        self._revision = -1
        self._loading, self._trying = asyncio.Lock(), asyncio.Lock()

    # --- in use ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Route with what is in use by now; does nothing when it has not changed."""
        async with self._loading:
            async with self._db.read() as session:
                if await store.revision(session) == self._revision:
                    return
            async with self._db.read(consistent=True) as session:
                revision = await store.revision(session)
                views = [ProposalView.of(row) for row in await store.rows(session, live=True)]
            self._city.set_learned(learning([view.change for view in views], self._city))
            self._revision = revision
        log.info("learned_routing_loaded", revision=revision, in_use=len(views))

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the changes of other processes."""
        while not stop.is_set():
            await self.load()
            try:
                await asyncio.wait_for(stop.wait(), POLL_S)
            except TimeoutError:
                continue

    # --- looking back ----------------------------------------------------------------------------------------------

    async def cases(self, since: datetime) -> list[ReturnCase]:
        """The returns since then with their rulings, the newest first."""
        async with self._db.read() as session:
            numbers = await store.returned_numbers(session, since)
        found = [case for each in await self._tickets.of_numbers(numbers) for case in returns_of(*each)]
        return sorted((case for case in found if case.at >= since), key=lambda case: case.at, reverse=True)

    async def report(self, since: date | None = None, *, moment: datetime | None = None) -> Report:
        """Week by week from the week of `since`; without it, the weeks that the trend compares."""
        moment = moment or datetime.now(UTC)
        zone = self._city.zone
        last = week_of(moment, zone)
        compared = last - timedelta(weeks=2 * COMPARED_WEEKS - 1)
        shown = since - timedelta(days=since.weekday()) if since else compared
        if shown > last:
            raise BadInput("起始日期在将来，请改早一些。")
        first = min(shown, compared)
        mondays = [first + timedelta(weeks=weeks) for weeks in range((last - first).days // 7 + 1)]
        cases = await self.cases(week_start(first, zone))
        async with self._db.read() as session:
            dispatched = await store.dispatched(session, mondays, zone)
        return report(cases, dispatched, since=shown, now=moment, zone=zone)

    # --- proposing -------------------------------------------------------------------------------------------------

    async def proposals(self) -> list[ProposalView]:
        """All proposals, the newest first."""
        async with self._db.read() as session:
            return [ProposalView.of(row) for row in reversed(await store.rows(session))]

    async def get(self, proposal_id: int) -> ProposalView:
        """Raises NotFound."""
        async with self._db.read() as session:
            return ProposalView.of(await store.get(session, proposal_id))

    async def propose(self) -> list[ProposalView]:
        """Look what rulings agree on, and keep what was not proposed before; gives the new and the changed ones."""
        await self.load()
        cases = (await self.cases(datetime.now(UTC) - LEARNED_FROM))[:MOST_CASES]
        made = await asyncio.to_thread(suggest, await self._means(cases), cases)
        return await self._keep(made, least=LEAST)

    async def matters_for(self, number: str) -> list[str]:
        """To which matters the last return of that ticket may belong, the likeliest first; empty: nothing to learn."""
        found = await self._last_case(number)
        return await asyncio.to_thread(matters_for, self._city, [found], self._routing) if found is not None else []

    async def matters_of(self, view: ProposalView) -> list[str]:
        """To which matters a person may give that proposal: its own, and others that lead to the same units."""
        others = await asyncio.to_thread(matters_for, self._city, await self._ruled(view.numbers), self._routing)
        known = {rule.matter for rule in self._city.matrix.rules}
        return [view.change.matter, *(name for name in others if name != view.change.matter and name in known)]

    async def propose_one(self, number: str, matter: str | None = None) -> list[ProposalView]:
        """What a person wants learned of one returned ticket. Raises BadInput with the reason when there is nothing."""
        await self.load()
        case = await self._last_case(number)
        if case is None:
            raise BadInput("这张工单没有退过单。")
        made = await asyncio.to_thread(suggest_one, await self._means([case]), case, matter)
        kept = await self._keep(made, least=1)
        if not kept:
            raise Conflict("这件事已经提过建议了。")
        return kept

    async def revise(self, proposal_id: int, words: Sequence[str], matter: str | None = None) -> ProposalView:
        """Other words, or another matter, by a person who knows better; it must be tried again."""
        if matter is not None and matter not in await self.matters_of(await self.get(proposal_id)):
            raise BadInput(f"“{matter[:20]}”不会把这些退单派给裁定的单位，请另选事项。")
        async with self._db.begin() as session:
            await store.lock(session)
            row = await store.get(session, proposal_id)
            if row.state not in UNDECIDED:
                raise Conflict(f"这条建议{row.state}，不能再改词。")
            change = checked_words(Change.from_dict(row.change), words)
            change = replace(change, matter=matter or change.matter)
            row.change, row.report, row.state = change.as_dict(), None, NEW
            return ProposalView.of(row)

    # --- trying and deciding ---------------------------------------------------------------------------------------

    async def try_out(self, proposal_id: int) -> ProposalView:
        """Route the frozen test set and the returned tickets with and without the change, and keep what came of it.

        Raises Conflict while another one is tried, CannotTry when the test set cannot be read.
        """
        if self._trying.locked():
            raise Conflict("正在试算另一条，请等它结束再试。")
        async with self._trying:
            await self.load()
            async with self._db.read(consistent=True) as session:
                revision = await store.revision(session)
                row = await store.get(session, proposal_id)
                change, numbers, state = Change.from_dict(row.change), list(row.numbers), row.state
                in_use = [
                    Change.from_dict(other.change)
                    for other in await store.rows(session, live=True)
                    if other.id != proposal_id
                ]
            if change.kind == "example":
                raise BadInput("训练例句要等语言模型重新训练才起作用，没有可试算的。")
            if not change.fits(self._city):
                raise BadInput("城市文件里已经没有这个事项或类别，这条建议用不上了。")
            returned = await self._ruled(numbers)
            try:
                cases = await asyncio.to_thread(read_cases, self._cases_file)
            except ConfigError as error:
                log.error("routing_cases_not_read", error=str(error))
                raise CannotTry from error
            before = with_changes(self._city, learning(in_use, self._city))
            after = with_changes(self._city, learning([*in_use, change], self._city))
            trial = await asyncio.to_thread(try_out, before, after, cases, returned, revision, self._routing)
            async with self._db.begin() as session:
                await store.lock(session)
                row = await store.get(session, proposal_id)
                if row.change != change.as_dict() or row.state != state:
                    raise Conflict("试算的时候这条建议变了，请再试一次。")
                row.report = trial.as_dict()
                row.state = TRIED if row.state in UNDECIDED else row.state
                view = ProposalView.of(row)
        log.info(
            "routing_proposal_tried", proposal=proposal_id, worse=view.report is not None and view.report["is_worse"]
        )
        return view

    async def enable(self, proposal_id: int, by: str) -> ProposalView:
        """Put it in use: in this process at once, in others within seconds. Sentences are put by for the next training.

        Raises Conflict when it was not tried with the matrix as it is now.
        """
        async with self._db.begin() as session:
            revision = await store.lock(session)
            row = await store.get(session, proposal_id)
            if row.state == LIVE:
                raise Conflict("这条建议已经启用。")
            if row.change["kind"] != "example":
                if row.report is None:
                    raise Conflict("还没有试算，请先试算再启用。")
                if row.report["revision"] != revision:
                    raise Conflict("试算之后启用的规则变了，请重新试算再启用。")
                await store.count_up(session)
            store.decide(row, by, LIVE)
            view = ProposalView.of(row)
        await self.load()
        log.info("routing_proposal_enabled", proposal=proposal_id)
        return view

    async def reject(self, proposal_id: int, by: str) -> ProposalView:
        """It is not proposed again from the same tickets. Raises Conflict for one in use."""
        async with self._db.begin() as session:
            await store.lock(session)
            row = await store.get(session, proposal_id)
            if row.state == LIVE:
                raise Conflict("这条建议正在使用，请先停用。")
            store.decide(row, by, REJECTED)
            view = ProposalView.of(row)
        log.info("routing_proposal_rejected", proposal=proposal_id)
        return view

    async def disable(self, proposal_id: int, by: str) -> ProposalView:
        """Take it back; tickets that were routed with it stay where they are. Raises Conflict for one not in use."""
        async with self._db.begin() as session:
            await store.lock(session)
            row = await store.get(session, proposal_id)
            if row.state != LIVE:
                raise Conflict("这条建议没有在使用。")
            if row.change["kind"] != "example":
                await store.count_up(session)
            store.decide(row, by, OFF)
            view = ProposalView.of(row)
        await self.load()
        log.info("routing_proposal_disabled", proposal=proposal_id)
        return view

    async def examples(self) -> list[Example]:
        """The sentences that people approved, each once, for the training data."""
        async with self._db.read() as session:
            views = [ProposalView.of(row) for row in await store.rows(session, live=True)]
        found = {example.text: example for view in views for example in view.change.examples}
        return list(found.values())

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _last_case(self, number: str) -> ReturnCase | None:
        found = [case for each in await self._tickets.of_numbers([number]) for case in returns_of(*each)]
        return found[-1] if found else None

    async def _ruled(self, numbers: Sequence[str]) -> list[ReturnCase]:
        """Of each of these tickets the last return that was ruled on."""
        found = [returns_of(*each) for each in await self._tickets.of_numbers(numbers)]
        return [ruled[-1] for cases in found if (ruled := [case for case in cases if case.ruled_unit])]

    async def _means(self, cases: Sequence[ReturnCase]) -> Means:
        async with self._db.read() as session:
            others = await store.texts(session, without={case.number for case in cases}, most=MOST_OTHERS)
        return Means(self._city, others, self._split, self._routing)

    async def _keep(self, made: Sequence[Suggestion], *, least: int) -> list[ProposalView]:
        """Store each suggestion once. One that nobody decided on yet takes in what is new; after a decision, only as
        many tickets as make a suggestion, none of which was decided on, make another."""
        kept: list[RoutingProposal] = []
        async with self._db.begin() as session:
            await store.lock(session)
            for suggestion in made:
                key = suggestion.change.key
                numbers = sorted({case.number for case in suggestion.cases})
                known = await store.of_key(session, key)
                decided = {number for row in known if row.state in _DECIDED for number in row.numbers}
                fresh = [number for number in numbers if number not in decided]
                waiting = next((row for row in known if row.state in UNDECIDED), None)
                if waiting is not None and set(numbers) - set(waiting.numbers):
                    former = Change.from_dict(waiting.change)
                    # Looked for among all returns it is whole, asked for it adds to what was found before.
                    grown = former.joined(suggestion.change) if least == 1 or former.revised else suggestion.change
                    waiting.change, waiting.report, waiting.state = grown.as_dict(), None, NEW
                    waiting.numbers = sorted({*numbers, *waiting.numbers})
                    kept.append(waiting)
                elif waiting is None and len(fresh) >= least:
                    row = RoutingProposal(
                        key=f"{key}#{len(known) + 1}",
                        change=suggestion.change.as_dict(),
                        numbers=fresh,
                        state=NEW,
                        created_at=now(),
                    )
                    session.add(row)
                    kept.append(row)
            await session.flush()
            return [ProposalView.of(row) for row in kept]
