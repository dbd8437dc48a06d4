"""The client against GeoReport servers other than ours: XML, tokens, no definitions, no paging, nonsense."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from assistant.db.models import now
from assistant.db.session import Database
from assistant.dispatch.destinations.base import Outgoing, Permanent, Retryable
from assistant.dispatch.destinations.http import MAX_ANSWER_BYTES
from assistant.dispatch.destinations.open311 import Open311Destination
from assistant.dispatch.destinations.open311_answers import Garbled, items
from assistant.dispatch.destinations.open311_message import reference
from assistant.dispatch.sender import Sender
from tests.dispatch.conftest import Clock, add_ticket, outbox, payload
from tests.dispatch.receiver import API_KEY, Receiver, serve

Answer = tuple[int, bytes]


class Town:
    """A server that answers what the test put under `METHOD path`, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.forms: list[dict[str, str]] = []
        self.queries: list[dict[str, str]] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        if request.method == "POST":
            self.forms.append({name: str(value) for name, value in (await request.form()).items()})
        else:
            self.queries.append({"path": request.url.path, **request.query_params})
        answers = self.answers.get(f"{request.method} {request.url.path}", [(404, b"not here")])
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        return Response(body, status)


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def town_url(town: Town) -> Iterator[str]:
    with serve(town.app) as url:
        yield url


@pytest.fixture
async def xml(town_url: str) -> AsyncIterator[Open311Destination]:
    made = Open311Destination(
        town_url, api_key="k", jurisdiction_id="town.example", answer_format="xml", timeout_s=10, trust_env=False
    )
    yield made
    await made.close()


def row(**changes: Any) -> Outgoing:
    values = {"key": "ZZ1:create:1", "ticket_number": "ZZ1", "operation": "create", "payload": payload("ZZ1")}
    return Outgoing(**{**values, "first_attempt_at": now(), **changes})


async def test_a_server_that_answers_xml(town: Town, xml: Open311Destination) -> None:
    town.answers = {
        "GET /services/environment.pollution.xml": [
            (
                200,
                b"<?xml version='1.0' encoding='utf-8'?><service_definition><service_code>1</service_code><attributes>"
                b"<attribute><code>urgency</code></attribute></attributes></service_definition>",
            )
        ],
        "POST /requests.xml": [
            (
                201,
                b"<service_requests><request><service_request_id>293944</service_request_id></request></service_requests>",
            )
        ],
    }
    assert (await xml.send(row())).remote_id == "293944"
    assert (await xml.send(row(key="ZZ1:create:2"))).remote_id == "293944"
    form = town.forms[0]
    assert (form["jurisdiction_id"], form["api_key"], form["service_code"]) == (
        "town.example",
        "k",
        "environment.pollution",
    )
    assert {name for name in form if name.startswith("attribute")} == {"attribute[urgency]"}, "only what it declared"
    assert reference("ZZ1:create:1") in form["description"]
    assert [query["path"] for query in town.queries] == ["/services/environment.pollution.xml"], "asked once"
    assert town.queries[0]["jurisdiction_id"] == "town.example"


async def test_states_of_a_plain_server(town: Town, xml: Open311Destination) -> None:
    town.answers["GET /requests.xml"] = [
        (
            200,
            "<service_requests>"
            "<request><service_request_id>1</service_request_id><status>open</status></request>"
            "<request><service_request_id>2</service_request_id><status>closed</status>"
            "<status_notes>已修好</status_notes><updated_datetime>2026-01-01T00:00:00Z</updated_datetime></request>"
            "<request><service_request_id>9</service_request_id><status>closed</status></request>"
            "<request><service_request_id>3</service_request_id></request>"
            "</service_requests>".encode(),
        )
    ]
    found = await xml.status(["1", "2", "3"])
    assert [(s.remote_id, s.state, s.public_reply) for s in found] == [
        ("1", "received", None),
        ("2", "resolved", "已修好"),
    ]
    assert town.queries[0]["service_request_id"] == "1,2,3"


async def test_a_token_is_followed_up_and_not_filed_again(
    town_url: str, town: Town, db: Database, clock: Clock
) -> None:
    town.answers = {
        "POST /requests.json": [(200, b'[{"token":"T/1"}]')],
        "GET /tokens/T%2F1.json": [(404, b'[{"code":404,"description":"not yet"}]')],
        "GET /tokens/T/1.json": [
            (404, b'[{"code":404,"description":"not yet"}]'),
            (200, b'[{"token":"T/1"}]'),
            (200, b'[{"token":"T/1","service_request_id":638344}]'),
        ],
    }
    destination = Open311Destination(town_url, trust_env=False)
    sender = Sender(db, {"desk": destination}, clock=clock)
    await add_ticket(db, "ZZ1", "supplement")
    for _ in range(2):
        assert await sender.deliver_due() == 1
        assert [r.state for r in await outbox(db)] == ["pending", "pending"]
        clock.advance(10)
    town.answers["POST /requests/638344/notes.json"] = [(200, b'[{"service_request_id":638344}]')]
    await sender.deliver_due()
    assert [(r.state, r.remote_id) for r in await outbox(db)] == [("sent", "638344"), ("sent", "638344")]
    assert len(town.forms) == 2, "one request, one note"
    await destination.close()


async def test_a_server_without_paging_is_searched_to_its_end(town: Town, xml: Open311Destination) -> None:
    def item(request_id: int, text: str) -> str:
        return (
            f"<request><service_request_id>{request_id}</service_request_id><description>{text}</description></request>"
        )

    found, other = item(7, f"x\n{reference('ZZ1:create:1')}"), item(6, "y")
    town.answers = {
        "GET /requests.xml": [(200, f"<service_requests>{other}</service_requests>".encode())],
        "POST /requests.xml": [
            (200, b"<service_requests><request><service_request_id>8</service_request_id></request></service_requests>")
        ],
    }
    assert (await xml.send(row(retried=True))).remote_id == "8", "not there: filed"
    assert [query.get("page") for query in town.queries] == ["1", "2", None]
    town.answers["GET /requests.xml"] = [(200, f"<service_requests>{other}{found}</service_requests>".encode())]
    assert (await xml.send(row(retried=True))).remote_id == "7", "there: not filed again"
    assert len(town.forms) == 1


async def test_a_look_up_that_fails_files_nothing(town: Town, xml: Open311Destination) -> None:
    town.answers["GET /requests.xml"] = [(500, b"")]
    with pytest.raises(Retryable):
        await xml.send(row(retried=True))
    assert town.forms == []


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (400, b"<errors><error><code>400</code><description>x</description></error></errors>", Permanent, "http_400"),
        (409, b'[{"code":409,"description":"other body"}]', Permanent, "http_409"),
        (400, b"<html><body>WAF</body></html>", Retryable, "http_400"),
        (401, b'[{"code":401,"description":"key"}]', Retryable, "http_401"),
        (302, b"", Retryable, "http_302"),
        (500, b'[{"code":500,"description":"oops"}]', Retryable, "http_500"),
        (200, b"", Retryable, "garbled"),
        (200, b"<!DOCTYPE a [<!ENTITY b 'c'>]><service_requests/>", Retryable, "garbled"),
        (200, b"<service_requests><request><service_request_id>1", Retryable, "garbled"),
        (200, b"<service_requests/>", Retryable, "garbled"),
        (200, b'"ok"', Retryable, "garbled"),
        (200, b" " * (MAX_ANSWER_BYTES + 1), Retryable, "garbled"),
    ],
    ids=lambda value: value[:20].decode() if isinstance(value, bytes) else str(value),
)  # fmt: skip
async def test_refusals_and_nonsense(
    town: Town, xml: Open311Destination, status: int, body: bytes, error: type[Exception], code: str
) -> None:
    town.answers["POST /requests.xml"] = [(status, body)]
    with pytest.raises(error) as caught:
        await xml.send(row())
    assert getattr(caught.value, "code", None) == code


async def test_a_server_without_notes_refuses_them(town: Town, xml: Open311Destination) -> None:
    town.answers["POST /requests/5/notes.xml"] = [(404, b'[{"code":404,"description":"no such resource"}]')]
    with pytest.raises(Permanent):
        await xml.send(row(operation="supplement", parent_id="5"))
    with pytest.raises(Permanent):
        await xml.send(row(operation="supplement"))
    with pytest.raises(Permanent):
        await xml.send(row(operation="dance", parent_id="5"))


async def test_the_built_in_desk_speaks_xml_to_the_client(receiver: Receiver, db: Database) -> None:
    destination = Open311Destination(receiver.desk_url, api_key=API_KEY, answer_format="xml", trust_env=False)
    sent = await destination.send(row())
    assert await destination.send(row()) == sent, "the same key"
    assert await destination.send(row(retried=True)) == sent
    await destination.send(row(key="n", operation="urge", payload={"text": "快点"}, parent_id=sent.remote_id))
    (status,) = await destination.status([sent.remote_id, "none"])
    assert (status.remote_id, status.state) == (sent.remote_id, "received")
    await destination.close()


def test_an_address_must_be_one() -> None:
    with pytest.raises(ValueError, match="http"):
        Open311Destination("ftp://example.org")


def test_list_answers_come_in_several_forms() -> None:
    one = [{"service_request_id": "1"}]
    for body in (
        b'[{"service_request_id":"1"}]',
        b'{"service_requests":[{"service_request_id":"1"}]}',
        b'{"service_request_id":"1"}',
        b"\xef\xbb\xbf<r><request><service_request_id>1</service_request_id></request></r>",
    ):
        assert items(body) == one
    for body in (b"[1]", b"null", b"<html><p>1</p></html>", b"<" + b"\x00!", b"[" * 100_000):
        with pytest.raises(Garbled):
            items(body)
