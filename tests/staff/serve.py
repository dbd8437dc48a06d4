"""The workbench as a process: `python -m tests.staff.serve PORT DATABASE_URL`, with real parts and some residents.

Everything is real (knowledge base, tickets, outbox, desk, poller, queue, what it is taught) but the dialogue engine and
what residents' messages and the search are read with: what the assistant would have said and understood is written
into the transcript.
"""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from assistant.additions.service import Additions
from assistant.city import City
from assistant.conversations.events import Events
from assistant.conversations.handover import Handover
from assistant.crypto import Vault
from assistant.db.models import Conversation, Message, PastReply, now
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.dispatch.desk import Desk
from assistant.dispatch.desk_server import build_router as build_open311_router
from assistant.dispatch.destinations.desk import desk_destination
from assistant.dispatch.poller import Poller
from assistant.dispatch.sender import Sender
from assistant.open311.services import Catalogue, Service
from assistant.problems import install_problem_handlers
from assistant.returns.service import Learning
from assistant.settings import Settings
from assistant.staff.services import StaffServices
from assistant.staff.users import Users
from assistant.staff.workbench import setup_staff
from assistant.tickets.model import Judgement, Matter
from assistant.tickets.service import TicketDraft, TicketService
from assistant.understanding import CachingReader
from kb.health.service import Health
from kb.service import KbSettings, KnowledgeBase, NewDocument
from kb.words import words
from nlu.runtime import Reader
from nlu.trial import Trainer
from tests.additions.material import write_training_data
from tests.staff.encoder import CALIBRATION, PairEncoder

PASSWORD = "Jinshui-River-88"
USERS = {
    "agent": ("李晓燕", ["agent"]),
    "editor": ("陈编辑", ["editor"]),
    "dispatcher": ("赵派单", ["dispatcher"]),
    "boss": ("王主任", ["admin"]),
    "all": ("周值班", ["agent", "editor", "dispatcher"]),
}
SECRET = "a-secret-of-the-tests-that-is-long-enough"
WAITING, CALM, COMPLAINT = "c0ffee00-waiting-7a31", "c0ffee00-calm-51d2", "c0ffee00-complaint-9b04"
FILING = "c0ffee00-filing-3e77"
PAST_REPLY = "可以的。在本市无房、连续缴存满三个月就能提取公积金付房租，线上或柜台都能办，每年一次。"
RENT = """第一条 为规范住房公积金提取，制定本办法。
第二条 职工连续足额缴存满三个月，本人及配偶在本市无自有住房且租赁住房的，可以提取住房公积金支付房租。
第三条 本办法自二〇二四年五月一日起施行。"""


def understood(intent: str, **more: object) -> dict[str, object]:
    """What the language model reads, in its public form."""
    confidence = {"intent": 0.97, "request_type": 0.95, "category1": 0.93, "category2": 0.52, "urgency": 0.9}
    return {
        "intent": intent,
        "request_type": "咨询",
        "category": {"level1": "城乡建设", "level2": None},
        "urgency": "一般",
        "entities": [],
        "confidence": confidence,
        "model_version": "test",
        **more,
    }


def build(port: int, database_url: str) -> FastAPI:
    base_url = f"http://127.0.0.1:{port}"
    db, vault, city = Database(database_url), Vault(SECRET), City.load(Path("city/demo"))
    handover, desk = Handover(db, Events(), max_chars=8000), Desk(db)
    knowledge = KnowledgeBase(db, PairEncoder(), settings=KbSettings(calibration=CALIBRATION))
    tickets = TicketService(SqlTicketStore(db), city, vault)
    destinations = {"desk": desk_destination(base_url, api_key=vault.derive("desk"))}
    sender = Sender(db, destinations)
    poller = Poller(db, destinations, tickets, interval_s=0.3)
    taught = Path(tempfile.mkdtemp(prefix="taught-"))
    trainer = Trainer(write_training_data(taught / "training_data"), taught / "cache")
    additions = Additions(db, CachingReader(Reader.load(Settings().nlu_model_dir)), city, trainer)

    learning = Learning(db, city, Path("city/demo"), words)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await _fill(db, knowledge, tickets)
        stop = asyncio.Event()
        tasks = [asyncio.create_task(job(stop)) for job in (sender.run, poller.run)]
        yield
        stop.set()
        await asyncio.gather(*tasks)
        await destinations["desk"].close()
        shutil.rmtree(taught)
        await db.close()

    app = FastAPI(lifespan=lifespan)
    install_problem_handlers(app)
    services = [Service(code, c.level2, c.level1, c.description) for code, c in city.services.items()]
    app.include_router(
        build_open311_router(
            desk,
            Catalogue(services),
            api_keys=[vault.derive("desk")],
            jurisdiction_id=city.jurisdiction_id,
            zone=city.zone,
        ),
        prefix="/desk/open311/v2",
    )
    setup_staff(
        app,
        StaffServices(
            db,
            vault,
            handover,
            knowledge,
            tickets,
            city,
            desk,
            PairEncoder(),
            additions,
            learning,
            explain=decided,
            kb_health=Health(db, knowledge, lambda: PairEncoder.encoder_id),
        ),
    )
    return app


async def decided(text: str, understanding: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What decided is the language model's to say; here it is always the smoke."""
    return {"category": tuple(word for word in ("油烟很大",) if word in text), "urgency": ()}


async def _fill(db: Database, knowledge: KnowledgeBase, tickets: TicketService) -> None:
    for name, (display_name, roles) in USERS.items():
        await Users(db).add(name, display_name, PASSWORD, roles)
    await knowledge.import_documents(
        [NewDocument(id="rent", title="住房公积金租房提取办法", text=RENT, issuer="市住房公积金管理中心")], publish=True
    )
    asked = understood("ask_policy")
    told = understood(
        "file_request",
        request_type="投诉",
        category={"level1": "环境保护", "level2": "环境污染"},
        entities=[
            {"type": "place", "text": "金水区花园路85号", "start": 0, "end": 9},
            {"type": "time", "text": "每天晚上", "start": 15, "end": 19},
        ],
    )
    lines = [
        (WAITING, "resident", "金水区花园路85号楼下烧烤店每天晚上油烟很大，我家孩子一直咳嗽", told),
        (WAITING, "assistant", "我已记下油烟扰民的地点和时间。请留一个联系电话，或者说“匿名”。", None),
        (WAITING, "resident", "138****5678。另外我在这里租房，能不能提取公积金付房租？", asked),
        (WAITING, "resident", "转人工", understood("request_human")),
        (CALM, "resident", "<b>楼上</b>装修太吵了，周末早上七点就开始，你们到底管不管？", understood("file_request")),
    ]
    lines += [
        (FILING, "resident", "你好", understood("greet")),
        (
            FILING,
            "resident",
            "中原区郑上路，宏达建筑公司欠了8个人4万多块工资",
            understood(
                "file_request",
                request_type="投诉",
                category={"level1": "劳动和社会保障", "level2": "工资福利"},
                entities=[{"type": "place", "text": "中原区郑上路", "start": 0, "end": 6}],
            ),
        ),
        (FILING, "resident", "我电话138****5678", understood("inform_contact")),
    ]
    async with db.begin() as session:
        for number, (identifier, state, channel, reason) in enumerate(
            [
                (WAITING, "waiting", "web", "居民要求人工服务"),
                (CALM, "waiting", "telegram", "助手没有把握"),
                (COMPLAINT, "bot", "web", None),
                (FILING, "bot", "web", None),
            ]
        ):
            session.add(
                Conversation(
                    id=identifier,
                    channel=channel,
                    token_hash=identifier,
                    state=state,
                    waiting_since=now() - timedelta(minutes=5 - 2 * number) if reason else None,
                    waiting_reason=reason,
                )
            )
        await session.flush()
        for conversation_id, sender, text, understanding in lines:
            session.add(Message(conversation_id=conversation_id, sender=sender, text=text, understanding=understanding))
            await session.flush()
        session.add(PastReply(question="租房能提取公积金吗", reply=PAST_REPLY))
    for number, (urgency, title) in enumerate([("一般", "烧烤店油烟扰民"), ("特急", "楼道里有煤气味")]):
        made = await tickets.submit(
            TicketDraft(
                request_type="投诉",
                category1="环境保护",
                category2="环境污染",
                title=title,
                description=f"金水区花园路85号，{title}，希望尽快处理。",
                place="金水区花园路85号",
                event_time="每天晚上",
                phone="13812345678",
                name="王小明",
                anonymous=False,
                confidential=True,
                urgency=urgency,
                conversation_id=COMPLAINT,
                channel="web",
                confidences={"category1": 0.95, "category2": 0.9, "model": "nlu-of-the-tests"},
                other_matters=(Matter("交通运输", None, "另外12路公交车等不来"),),
            ),
            key=f"fill-{number}",
            actor="resident",
        )
        words = {"category": (title,), "urgency": ("希望尽快处理",)}
        candidates = (("环境保护/环境污染", 0.86), ("城乡建设/市容环卫", 0.07))
        await tickets.keep_judgement(made.number, Judgement(words, candidates, "nlu-of-the-tests"))


if __name__ == "__main__":
    port = int(sys.argv[1])
    uvicorn.run(build(port, sys.argv[2]), host="127.0.0.1", port=port, log_level="warning")
