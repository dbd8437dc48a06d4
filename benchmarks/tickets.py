"""Tickets under load, beside the PyPI package baisitong2 1.0.2 (MIT) where it has the function, all in one run.

    .venv/bin/python -m benchmarks.tickets

Creation through the service on PostgreSQL (which waits for the disk) at few and at many existing tickets; routing and
the search for the same event at many open ones; the outbox to a receiver in a process of its own; and over HTTP, with
reading by the language model, what the package calls submitting and analysing. The package lives in an environment of
its own under `build/`, which the first run makes.
"""

import asyncio
import concurrent.futures
import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from assistant import matters
from assistant.city import City
from assistant.crypto import Vault
from assistant.db.duplicates import SqlEventIndex
from assistant.db.session import Database
from assistant.db.upgrade import upgrade
from assistant.dispatch.destinations.webhook import WebhookDestination
from assistant.dispatch.sender import Sender
from assistant.logging import configure_logging
from assistant.tickets.creation import Creation
from assistant.tickets.similar import Similar
from assistant.understanding import CachingReader
from benchmarks import sides
from benchmarks.machine import ROOT, describe
from benchmarks.ticket_load import SECRET, new_draft, service
from benchmarks.ticket_material import fill, text_of
from nlu.runtime import Reader
from tests.servers import postgres

PEER = "baisitong2==1.0.2"
_UV = shutil.which("uv") or ROOT / ".tools" / "bin" / "uv"
_PEER_HOME = ROOT / "build" / "benchmark" / "baisitong2"
_ONE_AFTER_ANOTHER, _OUTBOX_ROWS = 300, 2000
_PROCESSES, _CALLERS, _SECONDS = 2, 8, 6.0
_PEER_ROWS, _SUBMITTED, _DISPATCHED, _AT_ONCE = 2000, 60, 30, 4

out = Console()
Timed = Callable[[], Awaitable[object]]


def main(
    few: Annotated[int, typer.Option(help="existing tickets, few")] = 1_000,
    many: Annotated[int, typer.Option(help="existing tickets, many")] = 100_000,
    peer: Annotated[bool, typer.Option(help="run baisitong2 beside it")] = True,
) -> None:
    configure_logging("error", as_json=True)
    out.print(describe("sqlalchemy", "asyncpg"))
    # On the loop that the application runs on.
    rows = uvloop.run(_in_house(few, many))
    _show(rows)
    if peer:
        _show(_beside_the_peer())


def _show(rows: list[tuple[str, str]]) -> None:
    table = Table("what", "figure", caption=f"load {os.getloadavg()[0]:.1f}")
    for name, figure in rows:
        table.add_row(name, figure)
    out.print(table)


# --- the service and the sender ------------------------------------------------------------------------------------


async def _in_house(few: int, many: int) -> list[tuple[str, str]]:
    city, rows, medians = City.load(ROOT / "city" / "demo"), [], []
    reader = CachingReader(Reader.load(ROOT / "models" / "nlu"))
    with postgres(durable=True) as server:
        url = await _new_database(server)
        db = Database(url)
        await upgrade(db)
        present = 0
        for size in (few, many):
            await fill(db, city, size - present, encoder=reader.encoder_id, seed=size)
            present = size
            await _analyse(db)
            alone, rate, of_many = await _creation(db, city, url)
            medians.append(statistics.median(alone.ms))
            rows.append((f"creation at {size:,} tickets, one caller", str(alone)))
            rows.append(
                (
                    f"creation at {size:,} tickets, {_PROCESSES} processes",
                    f"{rate:.0f} a second, {of_many:.1f} ms CPU each",
                )
            )
        rows.append(("creation, p50 at many against few", f"{medians[1] / medians[0]:.2f} times"))
        rows += await _routing(db, city, reader)
        rows.append(("outbox to a webhook receiver", await _outbox(db, city)))
        await db.close()
    reader.close()
    return rows


async def _new_database(server: str) -> str:
    engine = Database(f"{server}/postgres".replace("postgresql://", "postgresql+asyncpg://")).engine
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.exec_driver_sql("CREATE DATABASE tickets")
    await engine.dispose()
    return f"{server}/tickets".replace("postgresql://", "postgresql+asyncpg://")


async def _analyse(db: Database) -> None:
    async with db.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.exec_driver_sql("VACUUM ANALYZE")


@dataclass(frozen=True, slots=True)
class Spent:
    """Milliseconds of each, one after another, and of processor time in this process on average."""

    ms: list[float]
    cpu_ms: float

    def __str__(self) -> str:
        p95 = statistics.quantiles(self.ms, n=20)[-1]
        return f"p50 {statistics.median(self.ms):.1f} ms, p95 {p95:.1f} ms, {self.cpu_ms:.1f} ms CPU"


async def _timed(work: Timed, times: int) -> Spent:
    found, cpu = [], time.process_time()
    for _ in range(times):
        started = time.perf_counter()
        await work()
        found.append((time.perf_counter() - started) * 1000)
    return Spent(found, (time.process_time() - cpu) / times * 1000)


async def _creation(db: Database, city: City, url: str) -> tuple[Spent, float, float]:
    """Of one caller; of several processes tickets a second, and processor time of those processes in ms each."""
    tickets, rng = service(db, city), random.Random()

    async def create() -> None:
        await tickets.submit(new_draft(city, rng), key=f"one:{rng.getrandbits(64)}", actor="resident")

    await _timed(create, 20)
    alone = await _timed(create, _ONE_AFTER_ANOTHER)
    command = [sys.executable, "-m", "benchmarks.ticket_load", "create", url, str(_SECONDS), str(_CALLERS)]
    started = [
        await asyncio.create_subprocess_exec(*command, str(rng.getrandbits(40)), cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(_PROCESSES)
    ]
    told = [(await process.communicate())[0].split() for process in started]
    count = sum(int(done) for done, _ in told)
    return alone, count / _SECONDS, sum(float(cpu_s) for _, cpu_s in told) / count * 1000


async def _routing(db: Database, city: City, reader: CachingReader) -> list[tuple[str, str]]:
    rng = random.Random(5)
    creation = Creation(city, Vault(SECRET), lambda _unit, _level1, _level2: "desk")
    told = matters.load(ROOT / "city" / "demo", partial(reader.embed, kind="query"), reader.encoder_id)
    profile = told.profile if told is not None else None
    similar = Similar(SqlEventIndex(db), city, reader, profile=profile)
    vectors = {text: await reader.aembed(text) for text in {text_of(rng) for _ in range(200)}}

    class Known:
        """Without the embedding, which the reader has made in the turn already."""

        encoder_id = reader.encoder_id

        async def aembed(self, text: str) -> Any:
            return vectors.get(text) if text in vectors else await reader.aembed(text)

    without = Similar(SqlEventIndex(db), city, Known(), profile=profile)

    async def both(search: Similar) -> None:
        draft = new_draft(city, rng)
        creation.route(draft)
        await search.find(draft)

    rows = []
    for name, search in (("with the embedding", similar), ("embedding known", without)):
        await _timed(lambda search=search: both(search), 20)
        spent = await _timed(lambda search=search: both(search), _ONE_AFTER_ANOTHER)
        rows.append((f"routing and same-event check, {name}", str(spent)))
    return rows


async def _outbox(db: Database, city: City) -> str:
    """Deliveries a second of one sender to a receiver in another process."""
    port, rng = sides.free_port(), random.Random(7)
    tickets = service(db, city, "hook")
    for n in range(_OUTBOX_ROWS):
        await tickets.submit(new_draft(city, rng), key=f"outbox:{n}", actor="resident")
    command = [sys.executable, "-m", "benchmarks.ticket_load", "receive", str(port)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    try:
        await _wait_for(f"http://127.0.0.1:{port}/count")
        hook = WebhookDestination(f"http://127.0.0.1:{port}/tickets", secret=SECRET, trust_env=False)
        # What the earlier parts left belongs to "desk", which this sender does not know.
        sender = Sender(db, {"hook": hook})
        started, cpu = time.perf_counter(), time.process_time()
        await sender.deliver_due()
        spent, cpu = time.perf_counter() - started, time.process_time() - cpu
        async with httpx.AsyncClient(trust_env=False) as http:
            count = (await http.get(f"http://127.0.0.1:{port}/count")).json()["count"]
        await hook.close()
    finally:
        process.terminate()
        await process.wait()
    if count != _OUTBOX_ROWS:
        out.print(f"[red]the receiver counts {count} of {_OUTBOX_ROWS}")
    return f"{count / spent:.0f} deliveries a second, {cpu / count * 1000:.1f} ms CPU of the sender each"


async def _wait_for(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        for _ in range(300):
            with contextlib.suppress(httpx.TransportError):
                if (await http.get(url)).status_code < 500:
                    return
            await asyncio.sleep(0.1)
    raise SystemExit(f"no answer from {url}")


# --- beside the peer -----------------------------------------------------------------------------------------------


def _beside_the_peer() -> list[tuple[str, str]]:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _peer(folder) as theirs, sides.minsheng(folder) as house:
            ours = _Ours(house.url, folder / "data")
            for side in (theirs, ours):
                side.submit_many(20)
            first = {side.name: side.submit_many(_SUBMITTED) for side in (theirs, ours)}
            for side in (theirs, ours):
                side.submit_many(_PEER_ROWS - _SUBMITTED - 20)
            last = {side.name: side.submit_many(_SUBMITTED) for side in (theirs, ours)}
            for side in (theirs, ours):
                before, after = statistics.median(first[side.name]), statistics.median(last[side.name])
                rows.append((
                    f"submit over HTTP, {side.name}",
                    f"p50 {before:.1f} ms at 0 rows, {after:.1f} ms at {_PEER_ROWS:,} ({after / before:.2f} times)",
                ))  # fmt: skip
            gain = statistics.median(last[theirs.name]) / statistics.median(last[ours.name])
            rows.append((f"submit at {_PEER_ROWS:,} rows, ours against theirs", f"{gain:.2f} times as fast"))
            for side in (theirs, ours):
                wanted, made = side.send_at_once()
                rows.append((f"{_AT_ONCE} parallel dispatches of each of {wanted}, {side.name}", f"{made} orders"))
    return rows


class _Peer:
    """`submit`: their POST /api/appeals, which analyses; dispatch: their POST /api/appeals/{id}/dispatch."""

    name = PEER

    def __init__(self, url: str) -> None:
        self._url, self._rng = url, random.Random(3)
        self._http = httpx.Client(trust_env=False, timeout=60)

    def _submit(self) -> int:
        body = {"content": text_of(self._rng), "source": "居民上报"}
        answer = self._http.post(f"{self._url}/api/appeals", json=body).raise_for_status()
        return int(answer.json()["data"]["id"])

    def submit_many(self, times: int) -> list[float]:
        return [_spent(self._submit) for _ in range(times)]

    def send_at_once(self) -> tuple[int, int]:
        appeals = [self._submit() for _ in range(_DISPATCHED)]
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            for appeal in appeals:
                address = f"{self._url}/api/appeals/{appeal}/dispatch"
                list(pool.map(lambda _, at=address: httpx.post(at, json={}, trust_env=False), range(_AT_ONCE)))
        orders = [
            self._http.get(f"{self._url}/api/appeals/{appeal}").raise_for_status().json()["data"]["work_orders"]
            for appeal in appeals
        ]
        return len(appeals), sum(map(len, orders))


class _Ours:
    """`submit`: POST requests of our Open311 server: read by the language model, routed, stored and in the outbox."""

    name = "minsheng"

    def __init__(self, url: str, data: Path) -> None:
        self._base, self._rng = f"{url}/open311/v2", random.Random(3)
        self._url = f"{self._base}/requests.json"
        self._city = City.load(ROOT / "city" / "demo")
        self._http = httpx.Client(trust_env=False, timeout=60)
        command = [ROOT / ".venv" / "bin" / "minsheng", "open311", "client", "add", "benchmark", "--trusted", "--json"]
        variables = os.environ | {"MINSHENG_DATA_DIR": str(data)}
        added = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        self._key = httpx.Response(200, text=added.stdout).json()["api_key"]

    def _form(self) -> dict[str, str]:
        draft = new_draft(self._city, self._rng)
        service_code = self._city.categories[draft.category1, draft.category2 or ""].service_code
        return {
            "api_key": self._key, "service_code": service_code, "description": draft.description,
            "address_string": draft.place or "", "jurisdiction_id": self._city.jurisdiction_id,
            **self._attributes(service_code),
        }  # fmt: skip

    @cache  # noqa: B019 - one object, for the run
    def _attributes(self, service_code: str) -> dict[str, str]:
        """Something for each attribute that the service requires."""
        answer = self._http.get(f"{self._base}/services/{service_code}.json")
        asked = answer.json()["attributes"] if answer.is_success else []
        required = [each for each in asked if each["required"] in (True, "true")]
        return {f"attribute[{each['code']}]": _value_of(each) for each in required}

    def _submit(self) -> None:
        self._http.post(self._url, data=self._form()).raise_for_status()

    def submit_many(self, times: int) -> list[float]:
        return [_spent(self._submit) for _ in range(times)]

    def send_at_once(self) -> tuple[int, int]:
        ids: set[str] = set()
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            for n in range(_DISPATCHED):
                form, headers = self._form(), {"Idempotency-Key": f"benchmark-{n}"}

                def send(_: int, form: dict[str, str] = form, headers: dict[str, str] = headers) -> str:
                    answer = httpx.post(self._url, data=form, headers=headers, trust_env=False, timeout=60)
                    return str(answer.raise_for_status().json()[0]["service_request_id"])

                ids |= set(pool.map(send, range(_AT_ONCE)))
        return _DISPATCHED, len(ids)


def _value_of(attribute: dict[str, Any]) -> str:
    known = attribute.get("values") or []
    return str(known[0]["key"]) if known else {"number": "3", "datetime": "2026-01-02T08:00:00+08:00"}.get(
        attribute["datatype"], "昨天晚上"
    )  # fmt: skip


def _spent(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


@contextlib.contextmanager
def _peer(folder: Path) -> Iterator[_Peer]:
    python = _PEER_HOME / "bin" / "python"
    if not python.exists():
        subprocess.run([_UV, "venv", "--python", "3.11", _PEER_HOME], check=True)
        subprocess.run([_UV, "pip", "install", "--python", python, PEER], check=True)
    port = sides.free_port()
    command = [python, "-m", "baisitong2", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--db", f"sqlite:///{folder}/peer.db"]
    with (folder / "peer.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        asyncio.run(_wait_for(f"http://127.0.0.1:{port}/api/appeals"))
        yield _Peer(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    typer.run(main)
