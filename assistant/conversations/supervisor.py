"""Keeps the dialogue engine running: trains its model, starts it on loopback, restarts it, stops it."""

import asyncio
import contextlib
import os
import random
import socket
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import structlog
import yaml

from assistant.conversations.engine import EngineClient
from assistant.conversations.engine_model import (
    EngineProject,
    TrainingFailed,
    copy_lines,
    engine_environment,
    start_engine,
    trained_model,
)
from assistant.settings import PROJECT_ROOT, Settings

_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 5.0
_CHECK_EVERY_S = 5.0
_MISSED_CHECKS = 4
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STABLE_AFTER_S = 60.0
_LOG_MAX_BYTES = 5_000_000
_LOG_FILES = 3

log = structlog.get_logger()


class EngineSupervisor:
    """One engine process, from `run` until its `stop` event.

    `nlu_url` and `actions_url` are the application's addresses that the engine calls with `secret`
    (`<nlu_url>/model/parse`, `<actions_url>`). `base_url` is known at once and never changes. `ready` is set while the
    engine answers and has a model loaded. `restarts` counts starts after the first; `phase` is one of `waiting`,
    `training`, `starting`, `ready`, `failed`, `stopped`.

    With `settings.engine_start` off, the engine at `settings.engine_url` belongs to somebody else and is only watched.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        nlu_url: str,
        actions_url: str,
        secret: str,
        project: Path = PROJECT_ROOT,
        python: Path = PROJECT_ROOT / "engine" / ".venv" / "bin" / "python",
    ) -> None:
        if not settings.engine_start and not settings.engine_url:
            raise ValueError("MINSHENG_ENGINE_URL is empty although MINSHENG_ENGINE_START is off")
        self._settings = settings
        self._nlu_url, self._actions_url, self._secret = nlu_url, actions_url, secret
        self._project = EngineProject(project, python, settings.nlu_model_dir)
        self._folder = settings.data_dir.resolve() / "engine"
        self._log_file = RotatingLog(settings.data_dir / "engine.log")
        self._reserved: socket.socket | None = None
        self._port = settings.engine_port
        if settings.engine_start and not self._port:
            # Bound but not listening: nobody else is given this port while the model is trained.
            self._reserved = socket.socket()
            self._reserved.bind(("127.0.0.1", 0))
            self._port = int(self._reserved.getsockname()[1])
        self.base_url = f"http://127.0.0.1:{self._port}" if settings.engine_start else settings.engine_url
        self.ready = asyncio.Event()
        self.restarts = 0
        self.phase = "waiting"
        self.process_id: int | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the engine running until `stop` is set; returns when its process has ended."""
        client = EngineClient(self.base_url, timeout_s=_CHECK_EVERY_S)
        stopping = asyncio.create_task(stop.wait())
        try:
            if self._settings.engine_start:
                await self._supervise(client, stopping)
            else:
                await self._watch(client, stopping)
        finally:
            self.ready.clear()
            self.phase = "stopped"
            stopping.cancel()
            await client.close()
            self.close()

    def close(self) -> None:
        """Give the reserved port and the log back; `run` does it at its end."""
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        self._log_file.close()

    async def _supervise(self, client: EngineClient, stopping: asyncio.Task[bool]) -> None:
        pause, first = _FIRST_PAUSE_S, True
        while not stopping.done():
            if not first:
                # Jitter, so that several engines that lost one database do not come back at one moment.
                await _wait(stopping, pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load
                if stopping.done():
                    return
                self.restarts += 1
            started = time.monotonic()
            try:
                await self._live(client, stopping)
            except (TrainingFailed, OSError) as error:
                self.phase = "failed"
                log.error("engine_not_started", reason=str(error), engine_log=str(self._log_file.path))
            pause = _FIRST_PAUSE_S if time.monotonic() - started > _STABLE_AFTER_S else min(pause * 2, _LONGEST_PAUSE_S)
            first = False

    async def _live(self, client: EngineClient, stopping: asyncio.Task[bool]) -> None:
        """One life of the engine: returns when it has died, or has been stopped."""
        self.phase = "training"
        training = asyncio.create_task(trained_model(self._project, self._folder / "models", self._log_file.write))
        await asyncio.wait({training, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not training.done():
            training.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await training
            return
        model = training.result()
        self.phase = "starting"
        began = time.monotonic()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        process = await start_engine(self._run_command(model), self._project.folder, self._environment())
        self.process_id = process.pid
        assert process.stdout is not None
        pump = asyncio.create_task(copy_lines(process.stdout, self._log_file.write))
        dead = asyncio.create_task(process.wait())
        try:
            if await self._becomes_ready(client, dead, stopping):
                self.phase = "ready"
                self.ready.set()
                log.info("engine_ready", seconds=round(time.monotonic() - began, 1), restarts=self.restarts)
                await self._stays_ready(client, dead, stopping)
            if not stopping.done():
                log.warning("engine_lost", status=process.returncode, engine_log=str(self._log_file.path))
        finally:
            self.ready.clear()
            self.phase = "waiting"
            await _end(process, dead)
            self.process_id = None
            await pump

    async def _becomes_ready(self, client: EngineClient, dead: asyncio.Task[int], stopping: asyncio.Task[bool]) -> bool:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            await _wait(stopping, 0.1, dead)
            if stopping.done() or dead.done():
                return False
            if await client.ready():
                return True
        return False

    async def _stays_ready(self, client: EngineClient, dead: asyncio.Task[int], stopping: asyncio.Task[bool]) -> None:
        missed = 0
        while missed < _MISSED_CHECKS:
            await _wait(stopping, _CHECK_EVERY_S, dead)
            if stopping.done() or dead.done():
                return
            missed = 0 if await client.ready() else missed + 1

    async def _watch(self, client: EngineClient, stopping: asyncio.Task[bool]) -> None:
        while not stopping.done():
            if await client.ready():
                self.ready.set()
                self.phase = "ready"
            else:
                self.ready.clear()
                self.phase = "waiting"
            await _wait(stopping, 1.0)

    def _run_command(self, model: Path) -> list[str]:
        return self._project.command(
            *("run", "--model", model.resolve(), "--interface", "127.0.0.1", "--port", str(self._port)),
            *("--credentials", "credentials.yml", "--endpoints", self._endpoints()),
        )

    def _environment(self) -> dict[str, str]:
        tracker = self._settings.tracker_database_url or f"sqlite:///{self._folder / 'tracker.db'}"
        return engine_environment(
            self._folder / "home",
            MINSHENG_NLU_URL=self._nlu_url,
            MINSHENG_ACTIONS_URL=self._actions_url,
            MINSHENG_ENGINE_SECRET=self._secret,
            MINSHENG_TRACKER_URL=tracker.replace("+asyncpg", "").replace("+aiosqlite", ""),
            MINSHENG_NLU_MODEL_DIR=self._settings.nlu_model_dir.resolve(),
        )

    def _endpoints(self) -> Path:
        """The project's endpoints.yml, with a Redis lock store added where one is configured."""
        endpoints = self._project.folder / "endpoints.yml"
        if not self._settings.redis_url:
            return endpoints
        extended = self._folder / "endpoints.yml"
        lock_store = yaml.safe_dump({"lock_store": redis_lock_store(self._settings.redis_url)})
        extended.touch(mode=0o600)  # it may hold the password of Redis
        extended.write_text(f"{endpoints.read_text(encoding='utf-8')}\n{lock_store}", encoding="utf-8")
        return extended


def redis_lock_store(url: str) -> dict[str, object]:
    """Rasa's settings for `redis://[[user]:password@]host[:port][/db]` (or `rediss://…`). Raises `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ValueError("MINSHENG_REDIS_URL must look like redis://host:6379/0")
    store: dict[str, object] = {
        "type": "redis",
        "url": parts.hostname,
        "port": parts.port or 6379,
        "db": int(parts.path.strip("/") or 0),
        "use_ssl": parts.scheme == "rediss",
        "key_prefix": "minsheng",
    }
    if parts.username:
        store["username"] = unquote(parts.username)
    if parts.password:
        store["password"] = unquote(parts.password)
    return store


class RotatingLog:
    """The engine's output as it comes: `engine.log`, then `engine.log.1`, … each of about 5 MB."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def write(self, output: bytes) -> None:
        """Append `output`, in a new file when this one is full. A full disk loses lines, not the engine."""
        with contextlib.suppress(OSError):
            self._append(output)

    def _append(self, output: bytes) -> None:
        if self._file is not None and os.fstat(self._file).st_size + len(output) > _LOG_MAX_BYTES:
            self.close()
            for number in range(_LOG_FILES - 1, 0, -1):
                older = self.path.with_name(f"{self.path.name}.{number}")
                newer = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
                if newer.exists():
                    newer.replace(older)
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(self._file, output)

    def close(self) -> None:
        """Close the file; a later `write` opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


async def _wait(stopping: asyncio.Task[bool], seconds: float, dead: asyncio.Task[int] | None = None) -> None:
    """Sleep, but not past a stop or the engine's death."""
    await asyncio.wait({stopping, dead} if dead else {stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


async def _end(process: asyncio.subprocess.Process, dead: asyncio.Task[int]) -> None:
    if process.returncode is None:
        process.terminate()
        await asyncio.wait({dead}, timeout=_STOP_TIMEOUT_S)
    if process.returncode is None:
        process.kill()
    await dead
