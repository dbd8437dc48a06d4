"""Other processes of `benchmarks.tickets`: one that creates tickets, one that receives them.

`python -m benchmarks.ticket_load create URL SECONDS CALLERS SEED` prints how many tickets it created
and the processor time in seconds that it took.
`python -m benchmarks.ticket_load receive PORT` is a webhook receiver that knows every delivery once.
"""

import asyncio
import random
import sys
import time

import uvicorn
import uvloop
from fastapi import FastAPI, Request

from assistant.city import City
from assistant.crypto import Vault
from assistant.db.session import Database
from assistant.db.ticket_store import SqlTicketStore
from assistant.logging import configure_logging
from assistant.tickets.model import TicketDraft
from assistant.tickets.service import TicketService
from benchmarks.machine import ROOT
from benchmarks.ticket_material import place_of, text_of

SECRET = "of a benchmark and of nothing else"


def new_draft(city: City, rng: random.Random) -> TicketDraft:
    text = text_of(rng)
    level1, level2 = rng.choice([("城乡建设", "城市建设和市政管理"), ("环境保护", "环境污染")])
    return TicketDraft(
        request_type="投诉", category1=level1, category2=level2, title=text[:20], description=text,
        place=place_of(city, rng), event_time=None, phone=f"138{rng.randrange(10**8):08}", name=None, anonymous=False,
        confidential=False, urgency="一般", conversation_id=None, channel="web",
        confidences={"category1": 0.95, "category2": 0.9},
    )  # fmt: skip


def service(db: Database, city: City, destination: str = "desk") -> TicketService:
    return TicketService(SqlTicketStore(db), city, Vault(SECRET), destination=destination)


async def create(url: str, seconds: float, callers: int, seed: int) -> tuple[int, float]:
    """Tickets created in that time by so many callers beside each other, and the processor time in seconds."""
    city, rng, db = City.load(ROOT / "city" / "demo"), random.Random(seed), Database(url)
    tickets, done = service(db, city), 0
    await tickets.submit(new_draft(city, rng), key=f"load:{seed}:first", actor="resident")
    until, cpu = time.perf_counter() + seconds, time.process_time()

    async def caller(number: int) -> None:
        nonlocal done
        count = 0
        while time.perf_counter() < until:
            count += 1
            key = f"load:{seed}:{number}:{count}"
            await tickets.submit(new_draft(city, rng), key=key, actor="resident")
            done += 1

    await asyncio.gather(*(caller(number) for number in range(callers)))
    cpu = time.process_time() - cpu
    await db.close()
    return done, cpu


def receiver() -> FastAPI:
    app, known = FastAPI(), dict[str, str]()

    @app.post("/tickets")
    async def take(request: Request) -> dict[str, str]:
        delivery = (await request.json())["delivery_id"]
        return {"id": known.setdefault(delivery, f"R{len(known) + 1}")}

    @app.get("/count")
    async def count() -> dict[str, int]:
        return {"count": len(known)}

    return app


if __name__ == "__main__":
    configure_logging("error", as_json=True)
    if sys.argv[1] == "create":
        # On the loop that the application runs on.
        print(*uvloop.run(create(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))))
    else:
        uvicorn.run(receiver(), host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
