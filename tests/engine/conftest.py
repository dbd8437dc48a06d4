"""Rasa for tests: its environment, a tiny trained project, supervised real processes, and the launcher as a command."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.conversations.engine import EngineClient
from assistant.conversations.engine_model import EngineProject, trained_model
from assistant.conversations.supervisor import EngineSupervisor
from assistant.settings import PROJECT_ROOT, Settings
from tests.engine.application import SECRET, Application, serve

PYTHON = PROJECT_ROOT / "engine" / ".venv" / "bin" / "python"
LAUNCHER = PROJECT_ROOT / "engine" / "launcher.py"
TINY = Path(__file__).parent / "project"

Rasa = Callable[..., "subprocess.CompletedProcess[str]"]

# These run in Rasa's environment, through test_inside.py.
collect_ignore = ["inside"]


@pytest.fixture(scope="session")
def engine_python() -> Path:
    """The interpreter of Rasa's environment."""
    if not PYTHON.exists():
        pytest.fail("Rasa's environment is missing: make engine")
    return PYTHON


@pytest.fixture(scope="session")
def rasa(engine_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Rasa:
    """Run the launcher: `rasa("data", "validate", cwd=…)`. The home folder is empty: nothing of the user's counts."""
    home = tmp_path_factory.mktemp("home")

    def run(*arguments: str | Path, cwd: Path = PROJECT_ROOT, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "RASA_CACHE_DIRECTORY": str(home / "cache")}
        return subprocess.run(
            [engine_python, LAUNCHER, *arguments],
            cwd=cwd,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def _train(project: EngineProject, models: Path) -> Path:
    log = bytearray()
    try:
        return asyncio.run(trained_model(project, models, log.extend))
    except Exception as error:
        pytest.fail(f"{error}:\n{log.decode(errors='replace')[-4000:]}")


@pytest.fixture(scope="session")
def tiny_model(engine_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model of `tests/engine/project`."""
    return _train(EngineProject(TINY, engine_python, Path("none")), tmp_path_factory.mktemp("tiny") / "models")


@pytest.fixture(scope="session")
def project_model(engine_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model of the project itself, as `minsheng serve` makes it."""
    project = EngineProject(PROJECT_ROOT, engine_python, PROJECT_ROOT / "models" / "nlu")
    return _train(project, tmp_path_factory.mktemp("project") / "models")


@pytest.fixture(scope="session")
def served_application() -> Iterator[Application]:
    with serve() as application:
        yield application


@pytest.fixture
def application(served_application: Application) -> Application:
    """What Rasa calls: reader and actions, healthy and without memory of other tests."""
    served_application.reset()
    return served_application


class RunningEngine:
    """A supervisor at work, a client for it, and the means to make it fail."""

    def __init__(self, supervisor: EngineSupervisor, client: EngineClient, data_dir: Path) -> None:
        self.supervisor, self.client, self.data_dir = supervisor, client, data_dir

    @property
    def log(self) -> str:
        return (self.data_dir / "engine.log").read_text(errors="replace")

    async def until_ready(self) -> None:
        async with asyncio.timeout(90):
            while not self.supervisor.ready.is_set():
                await asyncio.sleep(0.05)

    async def until_down(self) -> None:
        async with asyncio.timeout(30):
            while self.supervisor.ready.is_set():
                await asyncio.sleep(0.05)

    async def say(self, sender: str, text: str) -> str:
        """The texts of one turn, joined."""
        return "|".join(reply.text for reply in await self.client.send(sender, text))


class _Engine:
    """A supervisor of the tiny project, not yet running."""

    def __init__(self, model: Path, application: Application, data_dir: Path, **settings: Any) -> None:
        models = data_dir / "engine" / "models"
        models.mkdir(parents=True, exist_ok=True)
        shutil.copy(model, models)
        self.data_dir = data_dir
        self.supervisor = EngineSupervisor(
            Settings(data_dir=data_dir, nlu_model_dir=Path("none"), **settings),
            nlu_url=application.nlu_url,
            actions_url=application.actions_url,
            secret=SECRET,
            project=TINY,
        )

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[RunningEngine]:
        client = EngineClient(self.supervisor.base_url, timeout_s=25)
        engine = RunningEngine(self.supervisor, client, self.data_dir)
        try:
            await engine.until_ready()
            yield engine
        finally:
            await client.close()


Engines = Callable[..., contextlib.AbstractAsyncContextManager[RunningEngine]]


@pytest.fixture
def engines(tiny_model: Path, application: Application, tmp_path: Path) -> Engines:
    """Start an engine of the test's own: `async with engines("name", redis_url=…) as engine`."""

    @contextlib.asynccontextmanager
    async def start(name: str = "data", **settings: Any) -> AsyncIterator[RunningEngine]:
        engine = _Engine(tiny_model, application, tmp_path / name, **settings)
        stop = asyncio.Event()
        running = asyncio.create_task(engine.supervisor.run(stop))
        try:
            async with engine.client() as connected:
                yield connected
        finally:
            stop.set()
            await running

    return start


@pytest.fixture(scope="session")
def shared_engine(
    tiny_model: Path, served_application: Application, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[_Engine]:
    """One engine for all tests that leave it healthy, run by a loop in a thread."""
    engine = _Engine(tiny_model, served_application, tmp_path_factory.mktemp("shared"))
    stop, loop = asyncio.Event(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(engine.supervisor.run(stop),))
    thread.start()
    yield engine
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture
async def engine(shared_engine: _Engine, application: Application) -> AsyncIterator[RunningEngine]:
    """The shared engine with a client for this test; take conversations of your own and leave it running."""
    async with shared_engine.client() as connected:
        yield connected
