"""Learning from returns in the database: proposed, tried, in use in every process, taken back; on both databases."""

import asyncio
from pathlib import Path

import pytest

from assistant.city import City
from assistant.db.session import Database
from assistant.errors import BadInput, Conflict, NotFound
from assistant.returns import service
from assistant.returns.model import LIVE, NEW, OFF, REJECTED, TRIED, ProposalView
from assistant.returns.report import FALLING, TOO_FEW
from assistant.returns.service import CannotTry, Learning
from assistant.returns.trial import FILE
from kb.words import words
from tests.returns.material import CLEANERS, DOGS, MORE_DOGS, OTHERS, POLICE, Desk


@pytest.fixture
async def proposal(desk: Desk, learning: Learning) -> ProposalView:
    """What the six returned requests about dogs suggest."""
    await learning.load()
    for text in OTHERS:
        await desk.file(text)
    for text in DOGS:
        await desk.returned(text)
    [made] = await learning.propose()
    return made


async def test_six_returns_of_one_kind_teach_the_matrix(db: Database, desk: Desk, learning: Learning) -> None:
    await learning.load()
    desk.go_back(weeks=5)
    for text in OTHERS:
        await desk.file(text, CLEANERS)
    numbers = [await desk.returned(text) for text in DOGS]
    before = await learning.report()
    [cleaners] = before.units
    assert (cleaners.unit, cleaners.total.dispatched, cleaners.total.returned) == (CLEANERS, 22, 6)
    assert cleaners.reasons == {"权属不清": 6} and cleaners.median_hours == 3 and cleaners.waiting == 0
    assert cleaners.trend.words == TOO_FEW

    [proposal] = await learning.propose()
    assert (proposal.change.kind, proposal.change.matter, proposal.state) == ("words", "养犬", NEW)
    assert {"遛狗", "大狼狗", "牵绳"} <= set(proposal.change.words)
    assert sorted(numbers) == list(proposal.numbers)
    assert await learning.propose() == []

    tried = await learning.try_out(proposal.id)
    assert tried.state == TRIED and tried.report is not None
    assert tried.report["better"] == ["own-004"] and tried.report["worse"] == [] and not tried.report["is_worse"]
    assert tried.report["after"]["right"] == tried.report["before"]["right"] + 1
    assert {row["number"]: row["after"] for row in tried.report["returned"]} == dict.fromkeys(numbers, POLICE)
    assert all(row["before"] != POLICE for row in tried.report["returned"])

    desk.go_back(minutes=0)
    assert (await desk.file(MORE_DOGS)).lead_unit != POLICE
    await learning.enable(proposal.id, "zhao")
    told = await desk.file(MORE_DOGS)
    assert told.lead_unit == POLICE and not told.routing.review
    for text in OTHERS:
        await desk.file(text, CLEANERS)
    [cleaners] = (await learning.report()).units
    assert cleaners.trend.words == FALLING and cleaners.trend.p is not None and cleaners.trend.p < 0.05
    assert (cleaners.trend.before.returned, cleaners.trend.after.returned) == (6, 0)


async def test_what_is_in_use_reaches_every_process_and_can_be_taken_back(
    db: Database, city_dir: Path, desk: Desk, learning: Learning, proposal: ProposalView
) -> None:
    other_city = City.load(city_dir)
    other, other_desk = Learning(db, other_city, city_dir, words), Desk(db, other_city)
    await other.load()
    await learning.try_out(proposal.id)
    live = await learning.enable(proposal.id, "zhao")
    assert (live.state, live.decided_by) == (LIVE, "zhao") and live.decided_at is not None
    assert (await other_desk.file(MORE_DOGS, phone="13800005678")).lead_unit != POLICE
    await other.load()
    assert (await other_desk.file(MORE_DOGS, name="李")).lead_unit == POLICE

    off = await other.disable(proposal.id, "li")
    assert (off.state, off.decided_by) == (OFF, "li")
    assert (await other_desk.file(MORE_DOGS, event_time="今天")).lead_unit != POLICE
    assert (await desk.file(MORE_DOGS, event_time="今天")).lead_unit == POLICE
    await learning.load()
    assert (await desk.file(MORE_DOGS, event_time="昨天")).lead_unit != POLICE
    with pytest.raises(Conflict, match="没有在使用"):
        await learning.disable(proposal.id, "li")


async def test_only_what_was_tried_as_things_are_is_put_in_use(
    desk: Desk, learning: Learning, proposal: ProposalView
) -> None:
    with pytest.raises(Conflict, match="先试算"):
        await learning.enable(proposal.id, "zhao")
    await learning.try_out(proposal.id)
    await learning.enable(proposal.id, "zhao")
    with pytest.raises(Conflict, match="已经启用"):
        await learning.enable(proposal.id, "zhao")
    with pytest.raises(Conflict, match="先停用"):
        await learning.reject(proposal.id, "zhao")
    await learning.disable(proposal.id, "zhao")
    # What is in use has changed since: the trial says nothing of today.
    with pytest.raises(Conflict, match="重新试算"):
        await learning.enable(proposal.id, "zhao")
    again = await learning.try_out(proposal.id)
    assert again.state == OFF
    assert (await learning.enable(proposal.id, "zhao")).state == LIVE
    with pytest.raises(NotFound):
        await learning.enable(proposal.id + 1, "zhao")


async def test_the_same_returns_make_a_proposal_once(desk: Desk, learning: Learning, proposal: ProposalView) -> None:
    seventh = await desk.returned(MORE_DOGS)
    [grown] = await learning.propose()
    assert grown.id == proposal.id and seventh in grown.numbers and grown.state == NEW
    await learning.reject(proposal.id, "zhao")
    assert await learning.propose() == []
    await desk.returned(MORE_DOGS, name="李")
    assert await learning.propose() == []  # one alone
    await desk.returned(MORE_DOGS, name="王")
    [second] = await learning.propose()
    assert second.id != proposal.id and len(second.numbers) == 2
    assert [view.state for view in await learning.proposals()] == [NEW, REJECTED]


async def test_two_processes_propose_at_once(db: Database, city_dir: Path, desk: Desk, learning: Learning) -> None:
    for text in (*OTHERS[:8], *DOGS):
        await (desk.returned(text) if text in DOGS else desk.file(text))
    other = Learning(db, City.load(city_dir), city_dir, words)
    made = await asyncio.gather(learning.propose(), other.propose())
    assert len([view for views in made for view in views]) == 1
    assert len(await learning.proposals()) == 1


async def test_a_person_changes_words_and_matter(desk: Desk, learning: Learning, proposal: ProposalView) -> None:
    await learning.try_out(proposal.id)
    revised = await learning.revise(proposal.id, [" 遛狗 ", "大狼狗", "遛狗", ""])
    assert revised.change.words == ("遛狗", "大狼狗") and revised.state == NEW and revised.report is None
    for bad, words_ in (("狗", "2 到 12"), ("狗138", "不能用"), (" ", "至少要留一个词")):
        with pytest.raises(BadInput, match=words_):
            await learning.revise(proposal.id, [bad])
    matters = await learning.matters_of(revised)
    assert matters[0] == "养犬" and "社会生活噪声" in matters and "供水" not in matters
    with pytest.raises(BadInput, match="不会把这些退单派给"):
        await learning.revise(proposal.id, ["遛狗"], "供水")
    moved = await learning.revise(proposal.id, ["遛狗", "大狼狗"], "社会生活噪声")
    assert moved.change.matter == "社会生活噪声"
    # A further return does not undo what a person chose.
    await desk.returned(MORE_DOGS, name="李")
    [grown] = await learning.propose()
    assert (grown.change.matter, grown.change.words, len(grown.numbers)) == ("社会生活噪声", ("遛狗", "大狼狗"), 7)
    await learning.try_out(proposal.id)
    await learning.enable(proposal.id, "zhao")
    with pytest.raises(Conflict, match="已启用"):
        await learning.revise(proposal.id, ["遛狗"])


async def test_a_person_asks_for_one_case(desk: Desk, learning: Learning) -> None:
    for text in OTHERS:
        await desk.file(text)
    number = await desk.returned(DOGS[2])
    assert await learning.propose() == []
    assert "养犬" in await learning.matters_for(number)
    made = await learning.propose_one(number, "养犬")
    assert made[0].change.matter == "养犬" and made[0].numbers == (number,)
    with pytest.raises(Conflict, match="已经提过"):
        await learning.propose_one(number, "养犬")
    with pytest.raises(BadInput, match="不会派给"):
        await learning.propose_one(number, "供水")
    waiting = await desk.file(DOGS[0], CLEANERS)
    with pytest.raises(BadInput, match="没有退过单"):
        await learning.propose_one(waiting.number)
    await desk.give_back(waiting.number)
    with pytest.raises(BadInput, match="还没有裁定"):
        await learning.propose_one(waiting.number)
    no_duty = await desk.returned(DOGS[1], reason="超职责")
    with pytest.raises(BadInput, match="超职责"):
        await learning.propose_one(no_duty)
    assert await learning.matters_for(no_duty) == []


async def test_a_broken_test_set_is_said_and_changes_nothing(
    city_dir: Path, learning: Learning, proposal: ProposalView
) -> None:
    (city_dir / FILE).write_text('{"id": "x"}\n', encoding="utf-8")
    with pytest.raises(CannotTry):
        await learning.try_out(proposal.id)
    assert (await learning.get(proposal.id)).state == NEW
    (city_dir / FILE).unlink()
    tried = await learning.try_out(proposal.id)
    assert tried.report is not None and tried.report["before"]["cases"] == 0 and len(tried.report["returned"]) == 6


async def test_one_trial_at_a_time(learning: Learning, proposal: ProposalView) -> None:
    results = await asyncio.gather(learning.try_out(proposal.id), learning.try_out(proposal.id), return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 1


async def test_a_process_follows_the_others(
    db: Database, city_dir: Path, learning: Learning, proposal: ProposalView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "POLL_S", 0.05)
    city = City.load(city_dir)
    other, stop = Learning(db, city, city_dir, words), asyncio.Event()
    running = asyncio.create_task(other.run(stop))
    await learning.try_out(proposal.id)
    await learning.enable(proposal.id, "zhao")
    async with asyncio.timeout(30):
        while not any(rule.matter == "养犬" and len(rule.words) > 1 for rule in city.matrix.rules):
            await asyncio.sleep(0.05)
    stop.set()
    await running
