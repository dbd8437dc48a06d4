"""The city's Open311 server over real HTTP, with the real ticket service and database; the reader knows three words."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from actions.danger import kind_of
from assistant.crypto import Vault
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.open311.clients import Client, Clients
from assistant.open311.public import PublicServer
from assistant.open311.published import PublicIds, PublishedTickets
from assistant.open311.services import Catalogue, public_services
from assistant.tickets.service import TicketService
from nlu.runtime import Understanding
from tests.dialogue.fakes import understood
from tests.dispatch.receiver import serve
from tests.dispatch.test_with_tickets import CITY

VAULT = Vault("s" * 32)
IDS = PublicIds(VAULT.derive("open311"))
POLLUTION, WAGES, WATER = "environment.pollution", "labour.wages", "construction.municipal"


@dataclass
class Party:
    """A third party: its key and how it is known to us."""

    client: Client
    key: str


async def read(text: str) -> Understanding:
    """What the language model would say; that it is asked in earnest is tested with the whole application."""
    if "泄漏" in text:
        return understood(text, "report_danger", request_type="求助", urgency="特急")
    types = (kind for kind in ("举报", "咨询") if kind in text)
    return understood(text, "file_request", request_type=next(types, "投诉"))


@pytest.fixture
def base_url(db_url: str) -> Iterator[str]:
    """The address of the server, with connections of its own."""
    db = Database(db_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.shield(db.close())

    server = PublicServer(
        city=CITY,
        tickets=TicketService(SqlTicketStore(db), CITY, VAULT),
        published=PublishedTickets(db),
        clients=Clients(db),
        ids=IDS,
        catalogue=Catalogue(public_services(CITY)),
        read=read,
        kind_of_danger=kind_of,
    )
    app = FastAPI(lifespan=lifespan)
    app.include_router(server.router(), prefix="/open311/v2")
    with serve(app) as url:
        yield f"{url}/open311/v2"


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=30) as made:
        yield made


@pytest.fixture
def tickets(db: Database) -> TicketService:
    """The service beside the server, as staff use it."""
    return TicketService(SqlTicketStore(db), CITY, VAULT)


@pytest.fixture
async def party(db: Database) -> Party:
    """A trusted one."""
    return Party(*await Clients(db).add("掌上郑州", trusted=True))


@pytest.fixture
async def stranger(db: Database) -> Party:
    """One that is not trusted."""
    return Party(*await Clients(db).add("某小程序", trusted=False))
