"""The dialogue on a real Rasa: domain, rules and stories as they are, real actions, a reader that follows a script."""

import asyncio
import contextlib
import itertools
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from actions.engine_api import build_router
from assistant.conversations.engine import EngineClient, EngineReply
from assistant.conversations.engine_model import EngineProject, trained_model
from assistant.conversations.supervisor import EngineSupervisor
from assistant.settings import PROJECT_ROOT, Settings
from nlu.extend import CITY_QUESTION
from nlu.labels import INTENTS
from tests.dialogue.fakes import FakeServices
from tests.servers import free_port

PYTHON = PROJECT_ROOT / "engine" / ".venv" / "bin" / "python"
SECRET = "dialogue-test-secret"
CONFIG = """
recipe: default.v1
assistant_id: dialogue
language: zh
pipeline:
  - name: KeywordIntentClassifier
  - name: FallbackClassifier
    threshold: 0.2
policies:
  - name: MemoizationPolicy
    max_history: 6
  - name: RulePolicy
    core_fallback_threshold: 0.3
    core_fallback_action_name: action_default_fallback
    enable_fallback_prediction: true
"""


@pytest.fixture(scope="session")
def dialogue_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's dialogue with a reader of Rasa's own, so that the language model is not part of these tests."""
    if not PYTHON.exists():
        pytest.fail("Rasa's environment is missing: make engine")
    folder = tmp_path_factory.mktemp("dialogue")
    for name in ("domain.yml", "endpoints.yml", "credentials.yml"):
        shutil.copy(PROJECT_ROOT / name, folder)
    for name in ("rules", "stories"):
        shutil.copytree(PROJECT_ROOT / "training_data" / name, folder / "training_data" / name)
    (folder / "config.yml").write_text(CONFIG)
    names = (*INTENTS, CITY_QUESTION)
    examples = "".join(f"- intent: {name}\n  examples: |\n    - {name} one\n    - {name} two\n" for name in names)
    (folder / "training_data" / "nlu.yml").write_text(f'version: "3.1"\nnlu:\n{examples}')
    return folder


@pytest.fixture(scope="session")
def dialogue_model(dialogue_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained once; training fails when two rules contradict each other."""
    log = bytearray()
    project = EngineProject(dialogue_project, PYTHON, Path("none"))
    try:
        return asyncio.run(trained_model(project, tmp_path_factory.mktemp("models"), log.extend))
    except Exception as error:
        pytest.fail(f"{error}:\n{log.decode(errors='replace')[-4000:]}")


@contextlib.contextmanager
def _serve(services: FakeServices) -> Iterator[str]:
    app = FastAPI()
    app.include_router(build_router(services, SECRET))  # type: ignore[arg-type]
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


class Talk:
    """One resident's conversation. `say` returns the texts of the answer; `replies` holds the last answer whole."""

    def __init__(self, client: EngineClient, services: FakeServices, conversation_id: str) -> None:
        self.client, self.services, self.id = client, services, conversation_id
        self.replies: list[EngineReply] = []

    async def say(self, text: str, intent: str | None = None, **known: object) -> str:
        """Write `text`, which the reader understands as `intent` with the entities given."""
        if intent:
            self.services.reader.teach(text, intent, **known)
        self.replies = await self.client.send(f"{self.id}:0", text)
        return "\n".join(reply.text for reply in self.replies)

    @property
    def buttons(self) -> list[str]:
        return [button["payload"] for reply in self.replies for button in reply.buttons]


@pytest.fixture(scope="session")
def loop_of_engine() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def engine_address(
    dialogue_model: Path,
    dialogue_project: Path,
    tmp_path_factory: pytest.TempPathFactory,
    loop_of_engine: asyncio.AbstractEventLoop,
) -> Iterator[tuple[str, FakeServices]]:
    """One engine for all conversations of the test run, supervised on a loop of its own."""
    services = FakeServices()
    data_dir = tmp_path_factory.mktemp("data")
    models = data_dir / "engine" / "models"
    models.mkdir(parents=True)
    shutil.copy(dialogue_model, models)

    def run(work: Awaitable[object]) -> None:
        async def wrapped() -> None:
            await work

        asyncio.run_coroutine_threadsafe(wrapped(), loop_of_engine).result(timeout=120)

    with _serve(services) as address:
        supervisor = EngineSupervisor(
            Settings(data_dir=data_dir, nlu_model_dir=Path("none")),
            nlu_url=f"{address}/internal/nlu",
            actions_url=f"{address}/internal/actions",
            secret=SECRET,
            project=dialogue_project,
        )
        stop = asyncio.Event()
        running = asyncio.run_coroutine_threadsafe(supervisor.run(stop), loop_of_engine)
        try:
            run(asyncio.wait_for(supervisor.ready.wait(), 90))
            yield supervisor.base_url, services
        finally:
            loop_of_engine.call_soon_threadsafe(stop.set)
            running.result(timeout=30)


_ids = itertools.count(1)


@pytest.fixture
async def talk(engine_address: tuple[str, FakeServices]) -> AsyncIterator[Talk]:
    """A new conversation."""
    address, services = engine_address
    client = EngineClient(address, timeout_s=25)
    yield Talk(client, services, f"c{next(_ids)}")
    await client.close()
