"""What the actions need, without models and database: a reader that follows a script, tickets in a dictionary."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from actions.services import SimilarEvent
from assistant.city import City
from assistant.tickets.errors import IncompleteDraft, InvalidDraft, KeyReused, TicketNotFound, TransitionRefused
from assistant.tickets.matter import Matters
from assistant.tickets.model import HistoryEntry, Routing, TicketDraft, TicketView
from kb.answer import Answer, Citation
from kb.readings import Choice
from nlu.runtime import Entity, Label, Request, Understanding

CITY = City.load(Path(__file__).resolve().parents[2] / "city" / "demo")
MATTERS = Matters(CITY)
DUE = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


def understood(
    text: str,
    intent: str,
    *,
    request_type: str = "投诉",
    category: tuple[str, str | None] = ("环境保护", "大气污染"),
    urgency: str = "一般",
    others: Sequence[str] = (),
    matters: Sequence[tuple[str, str, str | None]] = (),
    **entities: str,
) -> Understanding:
    """An `Understanding` as the model would give it; entities by type, found in the text.

    `matters`: (words, level 1, level 2) of each matter where there are several, the main one first.
    """
    found = []
    for kind, value in entities.items():
        start = text.index(value)
        found.append(Entity(kind, value, start, start + len(value), 0.9))
    told = [(text, *category)] if not matters else list(matters)
    requests = tuple(
        Request(Label(one, 0.8), Label(two, 0.7) if two else None, text.index(words), text.index(words) + len(words))
        for words, one, two in told
    )
    main = requests[0]
    return Understanding(
        text=text,
        intent=Label(intent, 0.95),
        intent_ranking=(Label(intent, 0.95), *(Label(name, 0.01) for name in others)),
        request_type=Label(request_type, 0.9),
        category1=main.category1,
        category1_ranking=(main.category1,),
        category2=main.category2,
        category2_ranking=(Label(f"{main.category1.name}/{main.category2.name}", 0.56),) if main.category2 else (),
        requests=requests,
        urgency=Label(urgency, 0.9),
        entities=tuple(sorted(found, key=lambda entity: entity.start)),
        model_version="test",
    )


class ScriptedReader:
    """Understands the sentences it was taught, and everything else not at all."""

    def __init__(self) -> None:
        self.known: dict[str, Understanding] = {}

    def teach(self, text: str, intent: str, **known: Any) -> str:
        self.known[text] = understood(text, intent, **known)
        return text

    def read(self, text: str) -> Understanding:
        return self.known.get(text) or understood(text, "nlu_fallback")


class FakeTickets:
    """The ticket service's promises that the dialogue depends on."""

    def __init__(self) -> None:
        self.tickets: dict[str, TicketView] = {}
        self.drafts: dict[str, TicketDraft] = {}
        self.numbers: dict[str, str] = {}
        self.notes: list[tuple[str, str]] = []
        self.keys: set[str] = set()
        self.callbacks: list[tuple[str, bool | None, bool | None, str | None]] = []
        self.broken = False

    async def submit(self, draft: TicketDraft, *, key: str, actor: str) -> TicketView:
        if self.broken:
            raise ConnectionError("database is away")
        missing = [name for name in ("description", "category1") if not getattr(draft, name)]
        if draft.urgency != "特急" and not draft.anonymous and not draft.phone:
            missing.append("contact")
        if missing:
            raise IncompleteDraft(missing)
        if "2099年" in (draft.event_time or ""):
            raise InvalidDraft("时间还没有到，请核对。")
        if key in self.numbers:
            if self.drafts[key] != draft:
                raise KeyReused
            return self.tickets[self.numbers[key]]
        number = f"ZZ2026112205{len(self.tickets) + 1:04d}"
        self.numbers[key], self.drafts[key] = number, draft
        self.tickets[number] = TicketView(
            number=number,
            state="已派遣",
            request_type=draft.request_type,
            category1=draft.category1,
            category2=draft.category2,
            title=draft.title,
            description=draft.description,
            place=draft.place,
            grid_path=CITY.resolve_place(draft.place or "").grid_path,
            event_time=draft.event_time,
            urgency=draft.urgency,
            lead_unit="金水区城市管理局",
            assisting_units=(),
            routing=Routing("测试", 0.9, (), False),
            due_at=DUE,
            created_at=datetime.now(UTC),
            updated_at=datetime.now(UTC),
            conversation_id=draft.conversation_id,
            channel=draft.channel,
            anonymous=draft.anonymous,
            confidential=draft.confidential,
            history=[],
        )
        return self.tickets[number]

    async def get(self, number: str) -> TicketView | None:
        return self.tickets.get(number)

    async def find(
        self, *, conversation_id: str | None = None, state: str | None = None, limit: int = 50
    ) -> list[TicketView]:
        own = [ticket for ticket in self.tickets.values() if ticket.conversation_id == conversation_id]
        return own[::-1][:limit]

    def _open(self, number: str, operation: str) -> TicketView:
        if number not in self.tickets:
            raise TicketNotFound
        ticket = self.tickets[number]
        if ticket.state in ("已结案", "已撤单"):
            raise TransitionRefused(operation, ticket.state)
        return ticket

    def _change(self, number: str, **changes: Any) -> TicketView:
        self.tickets[number] = replace(self.tickets[number], **changes)
        return self.tickets[number]

    async def add_supplement(self, number: str, text: str, *, key: str, actor: str) -> TicketView:
        ticket = self._open(number, "补充")
        if key not in self.keys:
            self.keys.add(key)
            self.notes.append((number, text))
        return ticket

    async def urge(self, number: str, *, key: str, actor: str) -> TicketView:
        self.notes.append((number, "催办"))
        return self._open(number, "催办")

    async def withdraw(self, number: str, reason: str, *, key: str, actor: str) -> TicketView:
        self._open(number, "撤单")
        return self._change(number, state="已撤单")

    async def record_callback(
        self,
        number: str,
        *,
        solved: bool,
        satisfied: bool | None = None,
        comment: str | None = None,
        key: str,
        actor: str,
    ) -> TicketView:
        if self.tickets[number].state not in ("待回访", "已结案"):
            raise TransitionRefused("结案" if solved else "重办", self.tickets[number].state)
        self.callbacks.append((number, solved, satisfied, comment))
        return self._change(number, state="已结案" if solved else "已派遣")

    async def rate(
        self, number: str, *, satisfied: bool | None, comment: str | None = None, key: str, actor: str
    ) -> TicketView:
        if self.tickets[number].state != "已结案":
            raise TransitionRefused("评价", self.tickets[number].state)
        self.callbacks.append((number, None, satisfied, comment))
        return self.tickets[number]

    def ask(self, number: str, question: str) -> None:
        entry = HistoryEntry("k", DUE, "destination:desk", "ask", "处置中", "待补充", note=question)
        self._change(number, state="待补充", history=[entry])

    def resolve(self, number: str, public_reply: str) -> None:
        entry = HistoryEntry("k", DUE, "destination:desk", "resolve", "处置中", "待回访", public_reply=public_reply)
        self._change(number, state="待回访", history=[entry])

    async def check_phone(self, number: str, last4: str) -> bool:
        draft = next((self.drafts[key] for key, known in self.numbers.items() if known == number), None)
        return bool(draft and draft.phone and draft.phone.endswith(last4))


@dataclass
class FakeServices:
    """An application in memory. `waiting` records who asked for a person."""

    reader: ScriptedReader = field(default_factory=ScriptedReader)
    tickets: FakeTickets = field(default_factory=FakeTickets)
    city: City = CITY
    waiting: list[tuple[str, str]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    taught: dict[str, str] = field(default_factory=dict)
    broken: bool = False
    judged: list[tuple[str, str, str | None, str, str | None]] = field(default_factory=list)
    known_events: dict[str, SimilarEvent] = field(default_factory=dict)

    async def answer(self, question: str, *, after: str = "") -> Answer:
        self.questions.append(f"{after} {question}".strip())
        if self.broken:
            raise ConnectionError("index is away")
        if "公积金" in question:
            citation = Citation("gjj", "第八条", "住房公积金提取规定", "郑州住房公积金管理中心", None, None)
            following = ["公积金提取要多久到账", "公积金提取要什么材料"]
            return Answer("answered", "租房可以提取住房公积金。", [citation], [], 0.9, [], next_questions=following)
        if question == "高龄津贴怎么领":
            choices = [Choice(place, f"{place}高龄津贴怎么领", place) for place in ("中原区", "二七区")]
            return Answer("ask", "您问的是哪一种？1. 中原区；2. 二七区。", [], [], 0.8, [], choices=choices)
        return Answer("not_found", "没有找到能回答这个问题的文件。", [], [], 0.1, [])

    async def policy_feedback(
        self, key: str, document_id: str, article: str | None, verdict: str, comment: str | None
    ) -> None:
        if self.broken:
            raise ConnectionError("database is away")
        self.judged.append((key, document_id, article, verdict, comment))

    def city_reply(self, intent: str) -> str | None:
        return self.taught.get(intent)

    async def request_human(self, conversation_id: str, reason: str) -> int:
        self.waiting.append((conversation_id, reason))
        return len(self.waiting) - 1

    async def requester_phone(self, conversation_id: str, masked: str) -> str | None:
        return masked.replace("****", "1234") if re.fullmatch(r"\d{3}\*{4}\d{4}", masked) else None

    def matter(self, category1: str, category2: str | None, text: str, confidences: Mapping[str, Any]) -> str | None:
        return MATTERS.named(category1, category2, text, confidences)

    async def similar(self, draft: TicketDraft) -> SimilarEvent | None:
        if self.broken:
            raise ConnectionError("vectors are away")
        return self.known_events.get(draft.place or "")

    async def channel(self, conversation_id: str) -> str:
        return "web"
