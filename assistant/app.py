"""The one place that wires: settings in, a FastAPI application with all its background work out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from sqlalchemy import select, text

from actions.danger import kind_of
from actions.engine_api import build_router as build_engine_router
from actions.services import SimilarEvent
from assistant import matters
from assistant.additions.service import Additions
from assistant.city import City
from assistant.conversations.api import build_router as build_public_router
from assistant.conversations.engine import EngineClient
from assistant.conversations.events import Events
from assistant.conversations.gateway import Gateway
from assistant.conversations.handover import Handover
from assistant.conversations.recovery import recover
from assistant.conversations.supervisor import EngineSupervisor
from assistant.crypto import Vault, load_secret
from assistant.db.duplicates import SqlEventIndex
from assistant.db.models import Conversation
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.db.upgrade import upgrade
from assistant.dispatch import definitions, reports
from assistant.dispatch.choice import DestinationChoice
from assistant.dispatch.definitions import Destinations
from assistant.dispatch.desk import Desk
from assistant.dispatch.desk_server import build_router as build_desk_router
from assistant.dispatch.destinations.desk import DESK_PATH, desk_destination
from assistant.dispatch.destinations.open311 import Open311Destination
from assistant.dispatch.metrics import DispatchMetrics
from assistant.dispatch.poller import Poller
from assistant.dispatch.sender import Sender
from assistant.explaining import Explainer, TicketJudgements
from assistant.open311.clients import Clients
from assistant.open311.public import PublicServer
from assistant.open311.published import PublicIds, PublishedTickets
from assistant.open311.services import Catalogue, public_services, services_of
from assistant.problems import install_problem_handlers
from assistant.returns.service import Learning
from assistant.settings import Settings
from assistant.staff.services import StaffServices
from assistant.staff.workbench import setup_staff
from assistant.tickets.matter import Matters
from assistant.tickets.model import TicketDraft
from assistant.tickets.routing import Router
from assistant.tickets.service import TicketService
from assistant.tickets.similar import SameEvents, Similar
from assistant.tickets.timekeeper import Timekeeper
from assistant.understanding import CachingReader, Phrases
from assistant.web.routes import allow_embedding, origins
from assistant.web.routes import build_router as build_web_router
from channels.telegram import TelegramChannel
from kb.answer import Answer
from kb.answer_log import AnswerLog
from kb.health.service import Health
from kb.rephrase import Rephraser
from kb.service import KbSettings, KnowledgeBase
from kb.words import words
from nlu.runtime import Reader
from nlu.trial import Trainer

log = structlog.get_logger()
OPEN311_PATH = "/open311/v2"
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
    answers: AnswerLog
    kb_health: Health
    tickets: TicketService
    similar_tickets: Similar
    events: Events
    handover: Handover
    engine: EngineClient
    supervisor: EngineSupervisor
    gateway: Gateway
    additions: Additions
    learning: Learning
    explainer: Explainer
    desk: Desk
    catalogue: Catalogue
    public_catalogue: Catalogue
    destinations: Destinations
    telegram: TelegramChannel | None
    registry: CollectorRegistry
    jobs: list[Job] = field(default_factory=list)

    async def answer(self, question: str, *, after: str = "") -> Answer:
        found = await self.kb.answer(question, after=after)
        self.answers.note(question, found, after=after)
        return found

    async def policy_feedback(
        self, key: str, document_id: str, article: str | None, verdict: str, comment: str | None
    ) -> None:
        await self.kb.feedback(key, document_id, article, verdict, comment, "resident")

    def city_reply(self, intent: str) -> str | None:
        return self.additions.reply_to(intent)

    async def request_human(self, conversation_id: str, reason: str) -> int:
        return await self.handover.request(conversation_id, reason)

    async def requester_phone(self, conversation_id: str, masked: str) -> str | None:
        return await self.gateway.private_value(conversation_id, masked)

    @cached_property
    def matters(self) -> Matters:
        return Matters(self.city)

    def matter(self, category1: str, category2: str | None, text: str, confidences: Mapping[str, Any]) -> str | None:
        return self.matters.named(category1, category2, text, confidences)

    async def similar(self, draft: TicketDraft) -> SimilarEvent | None:
        # Of several matters told at once each ticket holds the whole text: the own tickets are no other callers.
        own = await self.tickets.find(conversation_id=draft.conversation_id) if draft.conversation_id else []
        found = await self.similar_tickets.find(draft, without=[ticket.number for ticket in own])
        best = next((each for each in found if each.is_offered), None)
        return SimilarEvent(best.number, best.callers, best.unit, best.state) if best else None

    async def channel(self, conversation_id: str) -> str:
        async with self.db.read() as session:
            known = await session.scalar(select(Conversation.channel).where(Conversation.id == conversation_id))
        return known or "web"


def create_app(settings: Settings) -> FastAPI:
    """Build the application; nothing runs before its lifespan starts. Raises ConfigError."""
    parts = _wire(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await upgrade(parts.db)
        await parts.kb.seed(settings.city_dir / "policies")
        await parts.kb.load()
        await parts.additions.load()
        await parts.learning.load()
        stop = asyncio.Event()
        tasks = [asyncio.create_task(_keep_running(job, stop)) for job in parts.jobs]
        log.info("application_started", url=settings.base_url)
        try:
            yield
        finally:
            stop.set()
            _, late = await asyncio.wait(tasks, timeout=15)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            await parts.destinations.close()
            await parts.engine.close()
            await parts.kb.close()
            parts.reader.close()
            await parts.db.close()

    app = FastAPI(title="民声 Minsheng", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.parts = parts
    install_problem_handlers(app)
    app.include_router(build_public_router(parts.gateway, parts.tickets, parts.events))
    app.include_router(build_engine_router(parts, parts.vault.derive("engine")))
    app.include_router(_desk_router(parts), prefix=DESK_PATH)
    app.include_router(_open311_router(parts), prefix=OPEN311_PATH)
    app.include_router(reports.build_router(parts.db, parts.tickets, parts.destinations.secrets))
    app.include_router(_health_router(parts))
    embed_origins = origins(settings.embed_origins)
    app.include_router(build_web_router(embed_origins=embed_origins))
    allow_embedding(app, embed_origins)
    if parts.telegram is not None:
        app.include_router(parts.telegram.router())
    setup_staff(
        app,
        StaffServices(
            db=parts.db,
            vault=parts.vault,
            handover=parts.handover,
            kb=parts.kb,
            kb_health=parts.kb_health,
            tickets=parts.tickets,
            city=parts.city,
            desk=parts.desk,
            reader=parts.reader,
            additions=parts.additions,
            learning=parts.learning,
            explain=parts.explainer.message,
            private_value=parts.gateway.private_value,
            similar=parts.similar_tickets,
        ),
    )
    return app


def _wire(settings: Settings) -> Parts:
    vault = Vault(load_secret(settings.secret_key.get_secret_value(), settings.data_dir))
    city = City.load(settings.city_dir)
    reader = CachingReader(Reader.load(settings.nlu_model_dir))
    db = Database(settings.sqlalchemy_url)
    events = Events()
    handover = Handover(db, events, max_chars=settings.max_message_chars)
    knowledge = KnowledgeBase(
        db,
        reader,
        settings=KbSettings(index_folder=settings.data_dir / "kb"),
        rephraser=Rephraser.of(settings),
    )
    answers = AnswerLog(db, reader, knowledge.today)
    kb_health = Health(db, knowledge, lambda: reader.encoder_id, answers=answers, zone=city.zone)
    supervisor = EngineSupervisor(
        settings,
        nlu_url=f"{settings.base_url}/internal/nlu",
        actions_url=f"{settings.base_url}/internal/actions",
        secret=vault.derive("engine"),
    )
    engine = EngineClient(supervisor.base_url, timeout_s=settings.engine_turn_timeout_s)
    gateway = Gateway(db, vault, engine, handover, events, reader.as_dict, settings)
    names = {element.code: element.name for _, asked in city.elements.entries() for element in asked}
    destinations = definitions.build(
        desk_destination(settings.base_url, api_key=vault.derive("desk"), element_names=names),
        settings.destinations,
        open311=_open311_of_settings(settings, names),
        element_names=names,
    )
    choice = DestinationChoice.load(
        settings.city_dir,
        city,
        list(destinations),
        default=settings.dispatch_destination or ("open311" if settings.open311_url else ""),
    )
    catalogue, public_catalogue = Catalogue.of_categories(city.categories.values()), Catalogue(public_services(city))

    def categories_changed() -> None:
        catalogue.replace(services_of(city.categories.values()))
        public_catalogue.replace(public_services(city))

    additions = Additions(
        db,
        reader,
        city,
        Trainer(settings.training_dir, settings.data_dir / "nlu"),
        changed=categories_changed,
    )
    tell = matters.load(settings.city_dir, Phrases(reader), reader.encoder_id)
    learning = Learning(db, city, settings.city_dir, words, routing=lambda tried: Router(tried, tell))
    registry = CollectorRegistry()
    metrics = DispatchMetrics(registry)
    sender = Sender(db, destinations, metrics=metrics)
    explainer = Explainer(reader)
    judgements = TicketJudgements(explainer)
    similar = Similar(SqlEventIndex(db), city, reader, profile=tell.profile if tell is not None else None)
    woken: list[Callable[[], None]] = [sender.wake, judgements.wake]

    def wake() -> None:
        for each in woken:
            each()

    store = SqlTicketStore(db, on_outgoing=wake)
    tickets = TicketService(store, city, vault, choose_destination=choice, tell=tell)
    same_events = SameEvents(similar, tickets, city)
    woken.append(same_events.wake)
    timekeeper = Timekeeper(store, tickets, city)
    poller = Poller(db, destinations.pollable, tickets, metrics=metrics, interval_s=settings.dispatch_poll_s)
    telegram = None
    if settings.telegram_token.get_secret_value():
        telegram = TelegramChannel(
            gateway,
            token=settings.telegram_token.get_secret_value(),
            mode=settings.telegram_mode,
            api_url=settings.telegram_api_url,
            webhook_url=settings.telegram_webhook_url,
            webhook_secret=settings.telegram_webhook_secret.get_secret_value(),
        )
    parts = Parts(
        settings, vault, db, city, reader, knowledge, answers, kb_health, tickets, similar, events, handover, engine,
        supervisor, gateway,
        additions=additions, learning=learning, explainer=explainer, desk=Desk(db), catalogue=catalogue,
        public_catalogue=public_catalogue,
        destinations=destinations,
        telegram=telegram, registry=registry,
    )  # fmt: skip
    parts.jobs = [
        supervisor.run,
        sender.run,
        poller.run,
        timekeeper.run,
        additions.run,
        learning.run,
        lambda stop: judgements.run(tickets, stop),
        same_events.run,
        answers.run,
        kb_health.run,
        lambda stop: recover(gateway, engine, stop),
    ]
    if telegram is not None:
        parts.jobs.append(telegram.run)
    return parts


def _open311_of_settings(settings: Settings, element_names: Mapping[str, str]) -> Open311Destination | None:
    if not settings.open311_url:
        return None
    return Open311Destination(
        settings.open311_url,
        api_key=settings.open311_api_key.get_secret_value(),
        jurisdiction_id=settings.open311_jurisdiction,
        element_names=element_names,
    )


def _desk_router(parts: Parts) -> APIRouter:
    return build_desk_router(
        parts.desk,
        parts.catalogue,
        api_keys=[parts.vault.derive("desk")],
        jurisdiction_id=parts.city.jurisdiction_id,
        zone=parts.city.zone,
    )


def _open311_router(parts: Parts) -> APIRouter:
    return PublicServer(
        city=parts.city,
        tickets=parts.tickets,
        published=PublishedTickets(parts.db),
        clients=Clients(parts.db),
        ids=PublicIds(parts.vault.derive("open311")),
        catalogue=parts.public_catalogue,
        read=parts.reader.aread,
        kind_of_danger=kind_of,
    ).router()


def _health_router(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def ready() -> JSONResponse:
        """200 when a resident can be answered, else 503; each part says for itself."""
        try:
            async with parts.db.read() as session:
                await session.execute(text("SELECT 1"))
            database = True
        except Exception:
            database = False
        checks = {"database": database, "knowledge_base": parts.kb.loaded, "engine": parts.supervisor.ready.is_set()}
        return JSONResponse({**checks, "engine_phase": parts.supervisor.phase}, 200 if all(checks.values()) else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest() + generate_latest(parts.registry), media_type=CONTENT_TYPE_LATEST)

    return router


async def _keep_running(job: Job, stop: asyncio.Event) -> None:
    """A background job that fails is logged and started again; only `stop` ends it."""
    while not stop.is_set():
        try:
            await job(stop)
            return
        except Exception as error:
            log.error("job_failed", job=getattr(job, "__qualname__", "job"), error=type(error).__name__, exc_info=error)
            await asyncio.sleep(2)
