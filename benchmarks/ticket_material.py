"""A database full of tickets: made up, with keys of their places and embeddings, written in bulk.

For timings only: the tickets have a first history entry and no outbox rows, and the texts repeat.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy import insert

from assistant.city import City
from assistant.db.duplicates import stored_keys
from assistant.db.models import Ticket, TicketEvent, TicketPlaceKey
from assistant.db.session import Database
from assistant.tickets.place_keys import place_keys
from assistant.tickets.spots import Spots

__all__ = ["fill", "place_of", "text_of"]

_WIDTH = 384
_AT_ONCE = 2000
_TEXTS = (
    "楼下烧烤店每天晚上油烟很大，孩子一直咳嗽", "单元电梯停了三天没人修，老人上不去楼", "路灯整排不亮，晚上骑车看不见",
    "小区停水了也没有通知，什么时候来水", "垃圾桶满了好几天没人清，臭味很大", "工地半夜还在打桩，睡不成觉",
    "下水道堵了，污水漫到门口", "消防通道被车占了，救护车进不来", "物业费涨了一倍，没有开业主大会",
    "井盖碎了，差点摔着人",
)  # fmt: skip
_ENDS = ("请尽快处理", "已经打过两次电话了", "邻居们都有意见", "希望给个说法", "老人孩子都受不了", "从上周就这样")


def text_of(rng: random.Random) -> str:
    return f"{rng.choice(_TEXTS)}，{rng.choice(_ENDS)}。"


def place_of(city: City, rng: random.Random) -> str:
    """A place of the city as a resident would give it: road and number, or community and building."""
    path = rng.choice(_paths(city))
    if len(path) == 3 and rng.random() < 0.6:
        return f"{path[0]}{path[2]}{rng.randint(1, 30)}号楼"
    return f"{path[0]}{path[1].removesuffix('街道')}路{rng.randint(1, 300)}号"


@cache
def _paths(city: City) -> list[tuple[str, ...]]:
    return city.gazetteer.paths()


async def fill(db: Database, city: City, count: int, *, encoder: str, seed: int = 1) -> None:
    """Write `count` open tickets of the last 20 days, others for another `seed`.

    `encoder`: whose vectors the random ones claim to be.
    """
    rng, vectors = random.Random(seed), np.random.default_rng(seed)
    rows = _tickets(city, count, encoder, seed, rng, vectors)
    while batch := list(islice(rows, _AT_ONCE)):
        async with db.begin() as session:
            await session.execute(insert(Ticket), [ticket for ticket, _ in batch])
            await session.execute(insert(TicketPlaceKey), [key for _, keys in batch for key in keys])
            await session.execute(insert(TicketEvent), [_submitted(ticket) for ticket, _ in batch])


def _tickets(
    city: City, count: int, encoder: str, seed: int, rng: random.Random, vectors: np.random.Generator
) -> Iterator[tuple[dict[str, Any], list[dict[str, str]]]]:
    categories = sorted(city.categories)
    units = sorted(city.units)
    now, spots = datetime.now(UTC), Spots(city)
    for n in range(count):
        at = now - timedelta(days=20) + timedelta(days=20) * n / count
        number = f"{city.facts.ticket_prefix}{at:%Y%m%d}05{seed:06}{n:06}"
        level1, level2 = rng.choice(categories)
        place, text = place_of(city, rng), text_of(rng)
        spot = spots.of(place, text)
        vector = vectors.standard_normal(_WIDTH, dtype=np.float32)
        vector /= np.linalg.norm(vector)
        ticket = {
            "number": number, "request_key": f"fill:{seed}:{n}", "request_hash": "0" * 64, "channel": "web",
            "state": "已派遣", "request_type": "投诉", "category1": level1, "category2": level2, "title": text[:20],
            "description": text, "place": place, "grid_path": list(city.resolve_place(place).grid_path),
            "urgency": "一般", "lead_unit": rng.choice(units), "assisting_units": [], "confidences": {},
            "routing": {
                "reason": "", "confidence": 1.0, "candidates": [], "review": False, "model_version": None,
                "place_confidence": 1.0, "deadline": "general",
            },
            "due_at": at + timedelta(days=7), "created_at": at, "updated_at": at, "encoder": encoder,
            "embedding": vector.astype("<f2").tobytes(), "spot": spots.storable(spot),
        }  # fmt: skip
        keys = stored_keys(place_keys(spot), level1)
        yield ticket, [{"key": key, "number": number} for key in dict.fromkeys(keys)]


def _submitted(ticket: dict[str, Any]) -> dict[str, Any]:
    return {
        "number": ticket["number"], "key": f"{ticket['number']}:submit", "at": ticket["created_at"],
        "actor": "resident", "operation": "submit", "from_state": None, "to_state": ticket["state"], "changes": {},
    }  # fmt: skip
