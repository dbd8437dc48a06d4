"""The words that decided: for an agent, and once for every ticket; a reader that fails stops nobody."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from assistant.city import City
from assistant.crypto import Vault
from assistant.explaining import Explainer, TicketJudgements
from assistant.tickets.service import TicketService
from assistant.understanding import CachingReader
from nlu.runtime import Reader
from tests.dialogue.fakes import understood
from tests.tickets.drafts import draft
from tests.tickets.memory import MemoryStore

CITY = City.load(Path(__file__).resolve().parents[1] / "city" / "demo")
SMOKE, BUS = "楼下烧烤店每天晚上油烟很大", "另外12路公交车老是等不来"
READ: dict[str, Any] = {
    "category": {"level1": "环境保护"},
    "urgency": "一般",
    "requests": [{"level1": "环境保护", "text": SMOKE}, {"level1": "交通运输", "text": BUS}],
}


class Model:
    """Sure of 环境保护 and of 一般 where 油烟 stands in the text."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.broken = False

    def probabilities(self, head: str, texts: Sequence[str]) -> tuple[tuple[str, ...], Any]:
        if self.broken:
            raise RuntimeError("no memory")
        self.asked.append((head, texts[0]))
        names = {"category1": ("环境保护", "其他"), "urgency": ("一般", "紧急")}[head]
        return names, np.array([[0.9, 0.1] if "油烟" in text else [0.2, 0.8] for text in texts], np.float32)

    def encode(self, texts: Sequence[str]) -> list[Any]:
        return [SimpleNamespace(offsets=[(i, i + 2) for i in range(0, len(text), 2)]) for text in texts]

    def read(self, text: str) -> Any:
        return understood(text, "file_request", category=("环境保护", "环境污染"))


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def explainer(model: Model) -> Explainer:
    return Explainer(CachingReader(cast(Reader, model)))


@pytest.fixture
def tickets() -> TicketService:
    return TicketService(MemoryStore(), CITY, Vault("s" * 40))


async def test_a_category_is_explained_by_its_own_part_and_found_once(explainer: Explainer, model: Model) -> None:
    text = f"{SMOKE}，{BUS}"
    words = await explainer.message(text, READ)
    assert set(words) == {"category", "urgency"} and words["urgency"] == (SMOKE,)
    assert words["category"] and all(word in SMOKE for word in words["category"])
    assert model.asked == [("category1", SMOKE), ("urgency", text)]
    assert await explainer.message(text, READ) == words
    assert len(model.asked) == 2


async def test_what_another_model_read_finds_no_words(explainer: Explainer) -> None:
    old = {"category": {"level1": "已撤销的类别"}, "urgency": "一般"}
    assert (await explainer.message(f"{SMOKE}，{BUS}", old))["category"] == ()
    assert await explainer.message("你好", {}) == {}


async def test_another_model_is_asked_anew(model: Model) -> None:
    reader = CachingReader(cast(Reader, model))
    explainer = Explainer(reader)
    await explainer.words(SMOKE, "urgency", "一般")
    other = Model()
    reader.swap(cast(Reader, other))
    await explainer.words(SMOKE, "urgency", "一般")
    assert (len(model.asked), len(other.asked)) == (1, 1)


async def test_every_ticket_gets_its_words_once(explainer: Explainer, model: Model, tickets: TicketService) -> None:
    description = f"{SMOKE}，{BUS}"
    view = await tickets.submit(draft(description=description), key="k", actor="resident")
    judgements = TicketJudgements(explainer)
    assert await judgements.catch_up(tickets) == 1
    assert await judgements.catch_up(tickets) == 0
    known = await tickets.get(view.number)
    assert known is not None and known.judgement is not None
    assert known.judgement.words == {"category": (SMOKE,), "urgency": (SMOKE,)}
    assert known.judgement.candidates == (("环境保护/环境污染", 0.56),)
    assert known.judgement.model_version == "test"


async def test_a_category_that_a_rule_chose_has_no_words_of_the_model(
    explainer: Explainer, tickets: TicketService
) -> None:
    confidences = {"category1": 1.0, "rule": "danger"}
    view = await tickets.submit(draft(description=SMOKE, confidences=confidences), key="k", actor="resident")
    await TicketJudgements(explainer).catch_up(tickets)
    known = await tickets.get(view.number)
    assert known is not None and known.judgement is not None and set(known.judgement.words) == {"urgency"}


async def test_a_failure_to_explain_stops_no_ticket(explainer: Explainer, model: Model, tickets: TicketService) -> None:
    model.broken = True
    view = await tickets.submit(draft(), key="k", actor="resident")
    assert await TicketJudgements(explainer).catch_up(tickets) == 1
    known = await tickets.get(view.number)
    assert known is not None and known.judgement is not None and known.judgement.words == {}
    assert await TicketJudgements(explainer).catch_up(tickets) == 0


async def test_it_works_when_woken_and_ends_when_stopped(explainer: Explainer, tickets: TicketService) -> None:
    judgements, stop = TicketJudgements(explainer, idle_s=3600), asyncio.Event()
    running = asyncio.create_task(judgements.run(tickets, stop))
    await asyncio.sleep(0)
    view = await tickets.submit(draft(), key="k", actor="resident")
    judgements.wake()
    while (known := await tickets.get(view.number)) is None or known.judgement is None:
        await asyncio.sleep(0.01)
    stop.set()
    await running
