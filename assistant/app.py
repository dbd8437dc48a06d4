"""The one place that wires: settings in, a FastAPI application with all its background work out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import select, text

from actions.engine_api import build_router as build_engine_router
from assistant.city import City
from assistant.conversations.api import build_router as build_public_router
from assistant.conversations.engine import EngineClient
from assistant.conversations.events import Events
from assistant.conversations.gateway import Gateway
from assistant.conversations.handover import Handover
from assistant.conversations.recovery import recover
from assistant.conversations.supervisor import EngineSupervisor
from assistant.crypto import Vault, load_secret
from assistant.db.models import Conversation
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.db.upgrade import upgrade
from assistant.dispatch.desk import Desk
from assistant.dispatch.open311 import build_router as build_open311_router
from assistant.dispatch.poller import Poller
from assistant.dispatch.sender import Sender
from assistant.problems import install_problem_handlers
from assistant.settings import Settings
from assistant.staff.services import StaffServices
from assistant.staff.workbench import setup_staff
from assistant.tickets.service import TicketService
from assistant.understanding import CachingReader
from assistant.web.routes import build_router as build_web_router
from kb.answer import Answer
from kb.service import KnowledgeBase
from nlu.runtime import Reader

log = structlog.get_logger()
Job = Callable[[asyncio.Event], Awaitable[None]]


@dataclass
class Parts:
    """Everything that was wired; also what the dialogue's actions call (`actions.services.ActionServices`)."""

    settings: Settings
    vault: Vault
    db: Database
    city: City
    reader: CachingReader
    kb: KnowledgeBase
    tickets: TicketService
    events: Events
    handover: Handover
    engine: EngineClient
    supervisor: EngineSupervisor | None
    gateway: Gateway
    jobs: list[Job] = field(default_factory=list)

    async def answer(self, question: str) -> Answer:
        return await self.kb.answer(question)

    async def request_human(self, conversation_id: str, reason: str) -> int:
        return await self.handover.request(conversation_id, reason)

    async def requester_phone(self, conversation_id: str, masked: str) -> str | None:
        return await self.gateway.private_value(conversation_id, masked)

    async def channel(self, conversation_id: str) -> str:
        async with self.db.read() as session:
            known = await session.scalar(select(Conversation.channel).where(Conversation.id == conversation_id))
        return known or "web"


def create_app(settings: Settings) -> FastAPI:
    """Build the application; nothing runs before its lifespan starts."""
    parts = _wire(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await upgrade(parts.db)
        await parts.kb.seed(settings.city_dir / "policies")
        await parts.kb.load()
        stop = asyncio.Event()
        tasks = [asyncio.create_task(_keep_running(job, stop)) for job in parts.jobs]
        log.info("application_started", url=settings.base_url)
        try:
            yield
        finally:
            stop.set()
            _, late = await asyncio.wait(tasks, timeout=20)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            await parts.engine.close()
            parts.reader.close()
            await parts.db.close()

    app = FastAPI(
        title="民声 Minsheng", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
    )
    app.state.parts = parts
    install_problem_handlers(app)
    app.include_router(build_public_router(parts.gateway, parts.tickets, parts.events))
    app.include_router(build_engine_router(parts, parts.vault.derive("engine")))
    app.include_router(_health_router(parts))
    return app
