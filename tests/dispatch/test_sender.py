"""Every ticket reaches the desk once, whatever the desk and the network do."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from sqlalchemy import event

from assistant.db.models import OutboxRow
from assistant.db.session import Database
from assistant.dispatch.destinations.base import Outgoing, Permanent, Sent
from assistant.dispatch.destinations.log import LogDestination
from assistant.dispatch.destinations.open311 import Open311Destination
from assistant.dispatch.metrics import DispatchMetrics
from assistant.dispatch.outbox import Claim, Mark, Outbox, PutOff
from assistant.dispatch.sender import RetryPolicy, Sender
from assistant.open311.services import Attribute, Catalogue, Service
from tests.dispatch.conftest import Clock, add_rows, add_ticket, at_desk, outbox, until
from tests.dispatch.receiver import API_KEY, Fault, Receiver, desk_server
from tests.servers import free_port

LOST_ANSWER_S = 2.0


async def test_a_ticket_arrives_with_its_fields(db: Database, sender: Sender, clock: Clock) -> None:
    await add_ticket(db, "ZZ1", lat=34.78, long=113.68)
    assert await sender.deliver_due() == 1
    (row,), (request,) = await outbox(db), await at_desk(db)
    assert (row.state, row.remote_id, row.sent_at) == ("sent", request.service_request_id, clock.at)
    assert request.description.startswith("烧烤店油烟扰民\n楼下烧烤店每天晚上油烟很大（ZZ1）\n来源编号：")
    assert (request.address, request.lat, request.long) == ("金水区花园路85号", 34.78, 113.68)
    assert request.agency_responsible == "金水区城市管理局"
    assert request.expected_at == datetime(2030, 1, 5, 2, tzinfo=UTC)
    assert request.attributes["place_grid"] == "郑州市/金水区/花园路街道"
    assert request.attributes["ticket_number"] == "ZZ1"


async def test_personal_data_in_a_payload_does_not_leave(db: Database, sender: Sender) -> None:
    await add_ticket(db, "ZZ1", phone="13812345678", name="王小明")
    await sender.deliver_due()
    (request,) = await at_desk(db)
    sent = f"{request.description}{request.attributes}{request.address}{request.notes}"
    assert "13812345678" not in sent and "王小明" not in sent


async def test_elements_and_attachments_arrive(db: Database, db_url: str, clock: Clock) -> None:
    names = {"employer": "用人单位", "amount": "金额"}
    told = {"employer": "某建筑公司", "amount": "三万多"}
    # The second service has attributes of its own; one of them is called amount and takes a number.
    wages = Service("wages", "工资", "劳动", attributes=(Attribute("amount", "金额", "number"),))
    catalogue = Catalogue([Service("environment.pollution", "环境污染", "环境保护"), wages])
    await add_ticket(db, "ZZ1", elements=told, attachments=["现场.jpg", "https://example.org/1.jpg"])
    await add_ticket(db, "ZZ2", service_code="wages", elements=told)
    with desk_server(db_url, catalogue=catalogue) as receiver:
        destination = Open311Destination(receiver.desk_url, api_key=API_KEY, element_names=names, trust_env=False)
        await Sender(db, {"desk": destination}, clock=clock).deliver_due()
        await destination.close()
    first, second = sorted(await at_desk(db), key=lambda request: request.service_code)
    assert first.attributes["elements"] == "用人单位：某建筑公司；金额：三万多"
    assert first.attributes["attachments"] == "现场.jpg https://example.org/1.jpg"
    assert "金额" not in first.description
    assert "\n用人单位：某建筑公司；金额：三万多\n来源编号：" in second.description


async def test_a_long_description_is_shortened_with_a_note(db: Database, sender: Sender) -> None:
    await add_ticket(db, "ZZ1", description="很长" * 4000)
    await sender.deliver_due()
    (request,) = await at_desk(db)
    assert len(request.description) == 4000
    assert "此处有删节" in request.description
    assert request.description.splitlines()[-1].startswith("来源编号：")


async def test_a_ticket_without_a_place_is_accepted(db: Database, sender: Sender) -> None:
    await add_ticket(db, "ZZ1", address_string=None, place_grid=[])
    await sender.deliver_due()
    assert [request.address for request in await at_desk(db)] == ["未提供地点"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("refuse", 500),
        Fault("refuse", 502, body=b'[{"code":502,"description":"upstream"}]'),
        Fault("refuse", 403, body=b'[{"code":403,"description":"api_key"}]'),
        Fault("refuse", 404, body=b"<html>not deployed yet</html>"),
        Fault("garble", body=b"<html>ok</html>"),
        Fault("garble", body=b"{]"),
        Fault("garble", body=b"[]"),
        Fault("garble", body=b'[{"service_request_id":null}]'),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.body[:12].decode()}",
)
async def test_after_a_fault_the_ticket_is_there_once(
    db: Database, sender: Sender, receiver: Receiver, clock: Clock, fault: Fault
) -> None:
    receiver.faults.posts.append(fault)
    await add_ticket(db, "ZZ1")
    assert await sender.deliver_due() == 1
    (row,) = await outbox(db)
    assert row.state == "pending" and row.last_error and row.next_attempt_at == clock.at + timedelta(seconds=2)
    assert await sender.deliver_due() == 0, "not before its time"
    clock.advance(2)
    assert await sender.deliver_due() == 1
    (row,), (request,) = await outbox(db), await at_desk(db)
    assert (row.state, row.remote_id, row.last_error) == ("sent", request.service_request_id, None)


@pytest.fixture
async def impatient(receiver: Receiver) -> AsyncIterator[Open311Destination]:
    """Gives an answer up soon; only for those that never come."""
    made = Open311Destination(receiver.desk_url, api_key=API_KEY, timeout_s=LOST_ANSWER_S, trust_env=False)
    yield made
    await made.close()


@pytest.mark.parametrize("ignores_keys", [False, True], ids=["our desk", "a plain GeoReport server"])
async def test_an_answer_lost_after_acceptance_files_nothing_twice(
    db: Database,
    sender: Sender,
    receiver: Receiver,
    impatient: Open311Destination,
    clock: Clock,
    ignores_keys: bool,
) -> None:
    receiver.faults.ignores_keys = ignores_keys
    receiver.faults.posts.append(Fault("lose"))
    # A confidential one: its text is not public, and it is found again all the same.
    await add_ticket(db, "ZZ1", confidential=True)
    await Sender(db, {"desk": impatient}, clock=clock).deliver_due()
    assert [row.state for row in await outbox(db)] == ["pending"]
    (request,) = await at_desk(db)
    clock.advance(60)
    await sender.deliver_due()
    assert [row.remote_id for row in await outbox(db)] == [request.service_request_id]
    assert len(await at_desk(db)) == 1
    assert receiver.faults.seen["POST /desk/open311/v2/requests.json"] == 1, "it was found, not sent again"


async def test_a_lost_note_is_kept_once(
    db: Database, sender: Sender, receiver: Receiver, impatient: Open311Destination, clock: Clock
) -> None:
    await add_ticket(db, "ZZ1")
    await sender.deliver_due()
    receiver.faults.posts.append(Fault("lose"))
    await add_rows(db, "ZZ1", "supplement")
    await Sender(db, {"desk": impatient}, clock=clock).deliver_due()
    assert [row.state for row in await outbox(db)] == ["sent", "pending"]
    clock.advance(60)
    await sender.deliver_due()
    (request,) = await at_desk(db)
    assert [(note["kind"], note["text"]) for note in request.notes] == [("supplement", "supplement：ZZ1")]
    assert [row.state for row in await outbox(db)] == ["sent", "sent"]


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "http-date"])
async def test_retry_after_holds_for_the_whole_destination(
    db: Database, sender: Sender, receiver: Receiver, clock: Clock, as_date: bool
) -> None:
    value = format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True) if as_date else "900"
    receiver.faults.posts.append(Fault("refuse", 429, {"Retry-After": value}))
    await add_ticket(db, "ZZ1")
    await sender.deliver_due()
    await add_ticket(db, "ZZ2")
    clock.advance(890)
    assert await sender.deliver_due() == 0
    assert await at_desk(db) == []
    clock.advance(120)
    assert await sender.deliver_due() == 2
    assert len(await at_desk(db)) == 2


async def test_what_is_filed_again_after_a_refusal_goes_though_nothing_else_is_there(
    db: Database, destination: Open311Destination, receiver: Receiver, clock: Clock
) -> None:
    sender = Sender(db, {"desk": destination}, clock=clock)
    await add_ticket(db, "ZZ1", "supplement", service_code="no.such.code")
    await sender.deliver_due()
    dead, waiting = await outbox(db)
    assert (dead.state, waiting.state) == ("dead", "pending")
    async with db.begin() as session:
        again = {**dead.payload, "service_code": "environment.pollution"}
        session.add(
            OutboxRow(key="ZZ1:create:2", ticket_number="ZZ1", destination="desk", operation="create", payload=again)
        )
    await sender.deliver_due()
    assert [row.state for row in await outbox(db)] == ["dead", "dead", "sent"]
    assert len(await at_desk(db)) == 1


async def test_a_refusal_with_a_reason_is_dead_at_once_and_can_be_replayed(
    db: Database, destination: Open311Destination, receiver: Receiver, clock: Clock
) -> None:
    metrics = DispatchMetrics()
    sender = Sender(db, {"desk": destination}, clock=clock, metrics=metrics)
    await add_ticket(db, "ZZ1", "supplement", service_code="no.such.code")
    await add_ticket(db, "ZZ2")
    await sender.deliver_due()
    dead, waiting, sent = await outbox(db)
    assert dead.state == "dead" and dead.last_error == "对方回答 404：没有这个 service_code。"
    assert waiting.state == "pending", "what belongs to a dead request waits for it"
    assert sent.state == "sent", "other tickets go on"
    assert metrics.dead.labels("desk", "http_404")._value.get() == 1
    box = Outbox(db)
    assert [row.key for row in await box.dead()] == ["ZZ1:create:1"]
    assert (await box.depth(at=clock.at)).by_state == {"pending": 1, "sending": 0, "dead": 1}
    async with db.begin() as session:
        (await session.merge(dead)).payload = {**dead.payload, "service_code": "environment.pollution"}
    assert await box.replay(dead.id, at=clock.at)
    assert not await box.replay(dead.id, at=clock.at)
    await sender.deliver_due()
    assert [row.state for row in await outbox(db)] == ["sent", "sent", "sent"]
    assert len(await at_desk(db)) == 2


async def test_an_unreachable_desk_is_tried_for_a_day_and_then_given_up(db: Database, clock: Clock) -> None:
    destination = Open311Destination(f"http://127.0.0.1:{free_port()}/desk/open311/v2", trust_env=False)
    policy = RetryPolicy(longest_s=4 * 3600)
    sender = Sender(db, {"desk": destination}, clock=clock, jitter=lambda: 1.0, retry=policy)
    await add_ticket(db, "ZZ1")
    began = clock.at
    attempts: list[datetime] = []
    while (row := (await outbox(db))[0]).state == "pending":
        clock.at = max(row.next_attempt_at, clock.at)
        attempts.append(clock.at)
        await sender.deliver_due()
    assert row.state == "dead" and row.last_error == "连不上对方，或连接中断。"
    delays = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(attempts)]
    assert delays[:5] == [2, 4, 8, 16, 32] and delays[-1] == 4 * 3600
    assert timedelta(hours=18) < attempts[-1] - began <= timedelta(hours=24)
    await destination.close()


async def test_thirty_minutes_of_silence_lose_nothing(db_url: str, db: Database, clock: Clock) -> None:
    port = free_port()
    destination = Open311Destination(f"http://127.0.0.1:{port}/desk/open311/v2", api_key=API_KEY, trust_env=False)
    sender = Sender(db, {"desk": destination}, clock=clock)
    for n in range(3):
        await add_ticket(db, f"ZZ{n}", "supplement")
    end = clock.at + timedelta(minutes=30)
    while clock.at < end:
        await sender.deliver_due()
        clock.advance(300)
    assert await at_desk(db) == []
    with desk_server(db_url, port):
        clock.advance(3600)
        await sender.deliver_due()
    assert {row.state for row in await outbox(db)} == {"sent"}
    assert sorted(r.attributes["ticket_number"] for r in await at_desk(db)) == [f"ZZ{n}" for n in range(3)]
    await destination.close()


async def test_notes_follow_their_request_in_order(
    db: Database, sender: Sender, receiver: Receiver, clock: Clock
) -> None:
    receiver.faults.posts.append(Fault("refuse", 503))
    await add_ticket(db, "ZZ1", "supplement", "urge", "withdraw")
    assert await sender.deliver_due() == 1, "nothing overtakes a create that failed"
    clock.advance(2)
    receiver.faults.posts.extend([Fault("refuse", 503), Fault("refuse", 503)])
    while {row.state for row in await outbox(db)} != {"sent"}:
        await sender.deliver_due()
        clock.advance(60)
    (request,) = await at_desk(db)
    assert [note["kind"] for note in request.notes] == ["supplement", "reminder", "withdrawal"]
    assert request.desk_state == "withdrawn"


async def test_after_a_return_notes_go_to_the_new_request(db: Database, sender: Sender) -> None:
    await add_ticket(db, "ZZ1")
    await sender.deliver_due()
    await add_rows(db, "ZZ1", "create", "supplement")
    await sender.deliver_due()
    first, second = await at_desk(db)
    assert (first.notes, [note["kind"] for note in second.notes]) == ([], ["supplement"])


async def test_two_senders_share_the_work(db: Database, receiver: Receiver) -> None:
    counts: list[int] = []

    async def one() -> None:
        destination = Open311Destination(receiver.desk_url, api_key=API_KEY, trust_env=False)
        counts.append(await Sender(db, {"desk": destination}, concurrency=3).deliver_due())
        await destination.close()

    for n in range(10):
        await add_ticket(db, f"ZZ{n:02}", "supplement")
    await asyncio.gather(one(), one())
    assert sum(counts) == 20, "each row was attempted once"
    requests = await at_desk(db)
    assert len(requests) == 10 and all(len(request.notes) == 1 for request in requests)
    assert {row.state for row in await outbox(db)} == {"sent"}


async def test_a_lapsed_claim_is_taken_over_and_the_late_owner_changes_nothing(db: Database, clock: Clock) -> None:
    await add_ticket(db, "ZZ1")
    box = Outbox(db)

    async def turn(owner: str, *marks: Mark) -> tuple[list[Mark], list[Claim]]:
        return await box.turn(owner, marks, at=clock.at, claim_s=60, places={"desk": 9})

    _, [lost] = await turn("a")
    assert await turn("b") == ([], [])
    clock.advance(60)
    _, [taken] = await turn("b")
    assert not lost.outgoing.retried and taken.outgoing.retried
    late = Mark(lost, "dead", "too late"), Mark(lost, "pending", "too late", next_attempt_at=clock.at)
    for mark in late:
        assert await turn("a", mark) == ([], [])
    sent = Mark(taken, "sent", remote_id="R1", sent_at=clock.at)
    assert await turn("b", sent) == ([sent], [])
    assert [(row.state, row.remote_id) for row in await outbox(db)] == [("sent", "R1")]


async def test_waking_delivers_at_once_and_stop_ends(db: Database, destination: Open311Destination) -> None:
    # The next round would come after an hour.
    sender = Sender(db, {"desk": destination}, idle_s=3600)
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    await asyncio.sleep(0.1)
    await add_ticket(db, "ZZ1", "supplement")
    sender.wake()

    async def delivered() -> bool:
        return {row.state for row in await outbox(db)} == {"sent"}

    await until(delivered)
    stop.set()
    await asyncio.wait_for(running, 10)


async def test_a_fault_in_one_row_does_not_stop_the_others(db: Database, clock: Clock) -> None:
    class Picky(LogDestination):
        async def send(self, row: Outgoing) -> Sent:
            if row.ticket_number == "ZZ1":
                raise KeyError("what the resident wrote")
            if row.ticket_number == "ZZ2":
                raise Permanent("不收", code="no")
            return await super().send(row)

    for n in range(1, 4):
        await add_ticket(db, f"ZZ{n}")
    await add_ticket(db, "ZZ4", destination="unknown")
    metrics = DispatchMetrics()
    await Sender(db, {"desk": Picky()}, clock=clock, metrics=metrics).deliver_due()
    first, second, third, fourth = await outbox(db)
    assert (first.state, first.last_error) == ("pending", "内部错误：KeyError。")
    assert (second.state, second.last_error) == ("dead", "不收")
    assert (third.state, third.remote_id) == ("sent", "log:ZZ3")
    assert fourth.state == "pending" and "unknown" in str(fourth.last_error)
    assert metrics.sent.labels("desk", "create")._value.get() == 1
    assert metrics.failed.labels("desk", "internal")._value.get() == 1


async def test_a_destination_that_hangs_does_not_hold_up_another(db: Database) -> None:
    class Hanging(LogDestination):
        def __init__(self) -> None:
            self.go_on = asyncio.Event()

        async def send(self, row: Outgoing) -> Sent:
            await self.go_on.wait()
            return await super().send(row)

    hanging, stop = Hanging(), asyncio.Event()
    for n in range(6):
        await add_ticket(db, f"ZZ{n}", destination="hanging" if n < 4 else "desk")
    sender = Sender(db, {"hanging": hanging, "desk": LogDestination()}, concurrency=2, idle_s=0.05)
    running = asyncio.create_task(sender.run(stop))

    async def states() -> list[str]:
        return [row.state for row in await outbox(db)]

    async def others_sent() -> bool:
        return (await states())[4:] == ["sent", "sent"]

    async def all_sent() -> bool:
        return set(await states()) == {"sent"}

    await until(others_sent)
    assert (await states())[:4] == ["sending", "sending", "pending", "pending"], "each has places of its own"
    hanging.go_on.set()
    await until(all_sent)
    stop.set()
    await asyncio.wait_for(running, 10)


async def test_rows_without_a_destination_are_put_off_together(db: Database, clock: Clock) -> None:
    for n in range(30):
        await add_ticket(db, f"ZZ{n:02}", destination="unknown")
    await add_ticket(db, "ZZ99")
    commits: list[object] = []
    event.listen(db.engine.sync_engine, "commit", commits.append)
    await Sender(db, {"desk": LogDestination()}, clock=clock, concurrency=1, jitter=lambda: 1.0).deliver_due()
    *unknown, known = await outbox(db)
    assert known.state == "sent"
    assert {(row.state, row.attempts, row.next_attempt_at) for row in unknown} == {
        ("pending", 1, clock.at + timedelta(seconds=2))
    }
    assert len(commits) <= 5


async def test_rows_without_a_destination_are_looked_for_now_and_then_while_there_are_others(
    db: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    put_off = Outbox.put_off

    async def counted(self: Outbox, *known: Any, **options: Any) -> list[PutOff]:
        rows = await put_off(self, *known, **options)
        looked.append(len(rows))
        return rows

    monkeypatch.setattr(Outbox, "put_off", counted)
    for n in range(12):
        await add_ticket(db, f"ZZ{n:02}", destination="unknown" if n < 4 else "desk")
    sender = Sender(db, {"desk": LogDestination()}, clock=clock, concurrency=1)
    assert await sender.deliver_due() == 12
    rows = await outbox(db)
    assert [(row.state, row.attempts) for row in rows] == [("pending", 1)] * 4 + [("sent", 1)] * 8
    # With the first of the eight, and when none was left; 5 s have not gone by.
    assert looked == [4, 0]


async def test_what_nobody_knows_the_destination_of_is_given_up_in_the_end(db: Database, clock: Clock) -> None:
    await add_ticket(db, "ZZ1", "supplement", destination="unknown")
    metrics = DispatchMetrics()
    policy = RetryPolicy(base_s=10, give_up_after_s=25)
    sender = Sender(db, {"desk": LogDestination()}, clock=clock, metrics=metrics, retry=policy, jitter=lambda: 1.0)
    for _ in range(2):
        assert await sender.deliver_due() == 1
        clock.advance(600)
    create, supplement = await outbox(db)
    assert (create.state, create.attempts, create.last_error) == ("dead", 2, "没有配置名为 unknown 的派单目的地。")
    assert (supplement.state, supplement.attempts) == ("pending", 0), "it waits for its request"
    assert metrics.failed.labels("unknown", "no_destination")._value.get() == 1
    assert metrics.dead.labels("unknown", "no_destination")._value.get() == 1


@pytest.mark.parametrize("db_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
async def test_an_answer_that_cannot_be_noted_down_does_not_keep_the_others(db: Database, clock: Clock) -> None:
    class Verbose(LogDestination):
        async def send(self, row: Outgoing) -> Sent:
            return Sent("R" * 200 if row.ticket_number == "ZZ1" else "R")

    for n in range(3):
        await add_ticket(db, f"ZZ{n}")
    await Sender(db, {"desk": Verbose()}, clock=clock).deliver_due()
    assert [row.state for row in await outbox(db)] == ["sent", "sending", "sent"], "its claim will lapse"


def test_the_retry_policy_doubles_up_to_its_limit() -> None:
    policy = RetryPolicy(base_s=1, longest_s=5, give_up_after_s=10)
    assert [policy.delay_s(n) for n in (1, 2, 3, 4, 5000)] == [1, 2, 4, 5, 5]
    assert [policy.is_last(n) for n in (3, 4, 5)] == [False, True, True]


def test_by_default_the_last_attempt_is_a_day_after_the_first() -> None:
    policy = RetryPolicy()
    attempts = next(n for n in range(1, 1000) if policy.is_last(n))
    assert 23.5 * 3600 < sum(policy.delay_s(n) for n in range(1, attempts)) <= 24 * 3600
