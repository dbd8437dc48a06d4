"""The page 退单 as a process: `python -m tests.returns.serve PORT DATABASE_URL CITY_DIR`, with returned tickets."""

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn
from fastapi import FastAPI

from assistant.city import City
from assistant.crypto import Vault
from assistant.db.session import Database
from assistant.problems import install_problem_handlers
from assistant.returns.service import Learning
from assistant.staff.services import StaffServices
from assistant.staff.users import Users
from assistant.staff.workbench import setup_staff
from kb.words import words
from tests.returns.material import CLEANERS, DOGS, OTHERS, Desk
from tests.staff.encoder import PairEncoder
from tests.staff.serve import PASSWORD, SECRET, USERS


def build(database_url: str, city_dir: Path) -> FastAPI:
    db, city = Database(database_url), City.load(city_dir)
    desk, learning = Desk(db, city), Learning(db, city, city_dir, words)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        for name, (display_name, roles) in USERS.items():
            await Users(db).add(name, display_name, PASSWORD, roles)
        await _fill(desk)
        await learning.load()
        yield
        await db.close()

    app = FastAPI(lifespan=lifespan)
    install_problem_handlers(app)
    unused: Any = SimpleNamespace()
    setup_staff(
        app,
        StaffServices(
            db=db,
            vault=Vault(SECRET),
            handover=unused,
            kb=unused,
            tickets=desk.tickets,
            city=city,
            desk=unused,
            reader=PairEncoder(),
            additions=unused,
            learning=learning,
            explain=unused,
            kb_health=unused,
        ),
    )
    return app


async def _fill(desk: Desk) -> None:
    desk.go_back(weeks=5)
    for text in OTHERS:
        await desk.file(text, CLEANERS)
    for text in DOGS:
        await desk.returned(text)
    desk.go_back(days=1)
    for text in OTHERS:
        await desk.file(text, CLEANERS)
    waiting = await desk.file("楼道里堆满了纸箱子", CLEANERS)
    await desk.give_back(waiting.number, "职能交叉")


if __name__ == "__main__":
    app = build(sys.argv[2], Path(sys.argv[3]))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
