"""The supervisor with real Rasa processes: start, death, restart, stop, and the death of the supervisor itself."""

import asyncio
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import psutil
import pytest

from assistant.conversations.engine import EngineUnavailable
from assistant.conversations.engine_model import EngineProject, trained_model
from assistant.conversations.supervisor import EngineSupervisor, RotatingLog, redis_lock_store
from assistant.settings import Settings
from tests.engine.application import SECRET, Application
from tests.engine.conftest import TINY, Engines, RunningEngine

pytestmark = pytest.mark.engine


async def test_a_killed_engine_comes_back_with_its_conversations_and_none_is_left_at_the_end(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINSHENG_SECRET_KEY", "the key of all requesters")
    async with engines() as engine:
        assert await engine.say("c1:0", "花园路") == "记下了：花园路\n\n这是第1句。"
        killed = psutil.Process(engine.supervisor.process_id)
        assert "the key of all requesters" not in killed.environ().values()
        killed.kill()
        await engine.until_down()
        with pytest.raises(EngineUnavailable):
            await engine.client.send("c1:0", "建设路")
        assert not await engine.client.ready()
        await engine.until_ready()
        assert engine.supervisor.restarts == 1
        assert await engine.say("c1:0", "建设路") == "记下了：建设路\n\n这是第2句。"
        stopped = psutil.Process(engine.supervisor.process_id)
    assert not killed.is_running()
    assert not stopped.is_running()
    assert engine.supervisor.phase == "stopped"
    assert not engine.supervisor.ready.is_set()


async def test_the_engine_listens_on_loopback_only_and_has_no_api(engine: RunningEngine) -> None:
    process = psutil.Process(engine.supervisor.process_id)
    listening = {c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    async with httpx.AsyncClient(base_url=engine.supervisor.base_url, trust_env=False) as http:
        for path in ("/status", "/domain", "/conversations/c1:0/tracker", "/model"):
            assert (await http.get(path)).status_code == 404, path


async def test_the_engine_dies_with_a_killed_supervisor(
    tiny_model: Path, application: Application, tmp_path: Path
) -> None:
    models = tmp_path / "engine" / "models"
    models.mkdir(parents=True)
    (models / tiny_model.name).write_bytes(tiny_model.read_bytes())
    program = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from assistant.conversations.supervisor import EngineSupervisor
        from assistant.settings import Settings

        async def main():
            supervisor = EngineSupervisor(
                Settings(data_dir=Path({str(tmp_path)!r}), nlu_model_dir=Path("none")),
                nlu_url={application.nlu_url!r}, actions_url={application.actions_url!r}, secret={SECRET!r},
                project=Path({str(TINY)!r}),
            )
            running = asyncio.create_task(supervisor.run(asyncio.Event()))
            await supervisor.ready.wait()
            print("child", supervisor.process_id, flush=True)
            await running

        asyncio.run(main())
    """)
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        while not (line := await parent.stdout.readline()).startswith(b"child"):
            assert line, "the supervisor ended"
    child = psutil.Process(int(line.split()[1]))
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(psutil.wait_procs, [child], 10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_a_project_that_rasa_refuses_is_reported_with_its_reason(
    engine_python: Path, application: Application, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    shutil.copytree(TINY, project)
    (project / "config.yml").write_text("recipe: default.v1\nlanguage: zh\npipeline: [{name: NoSuchComponent}]\n")
    supervisor = EngineSupervisor(
        Settings(data_dir=tmp_path / "data", nlu_model_dir=Path("none")),
        nlu_url=application.nlu_url,
        actions_url=application.actions_url,
        secret=SECRET,
        project=project,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(supervisor.run(stop))
    async with asyncio.timeout(60):
        while supervisor.phase != "failed":
            await asyncio.sleep(0.1)
    assert not supervisor.ready.is_set()
    stop.set()
    await running
    assert "NoSuchComponent" in (tmp_path / "data" / "engine.log").read_text()
    assert not list((tmp_path / "data" / "engine" / "models").glob("*.tar.gz"))


async def test_a_model_is_trained_once_and_again_after_a_change(engine_python: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    before = EngineProject(project, engine_python, tmp_path)
    for name in ("config.yml", "domain.yml"):
        (project / name).write_text((TINY / name).read_text())
    first = before.content_hash()
    assert before.content_hash() == first
    models = tmp_path / "models"
    models.mkdir()
    (models / f"{first}.tar.gz").write_bytes(b"trained before")
    assert (await trained_model(before, models, lambda _: None)).read_bytes() == b"trained before"
    (project / "training_data").mkdir()
    (project / "training_data" / "rules.yml").write_text("version: '3.1'\n")
    second = before.content_hash()
    (tmp_path / "config.json").write_text("{}")  # another language model
    assert len({first, second, before.content_hash()}) == 3


async def test_an_engine_of_somebody_else_is_only_watched(engine: RunningEngine, tmp_path: Path) -> None:
    watcher = EngineSupervisor(
        Settings(data_dir=tmp_path / "other", engine_start=False, engine_url=engine.supervisor.base_url),
        nlu_url="",
        actions_url="",
        secret="",
    )
    stop = asyncio.Event()
    running = asyncio.create_task(watcher.run(stop))
    async with asyncio.timeout(20):
        await watcher.ready.wait()
    stop.set()
    await running
    assert watcher.process_id is None
    assert await engine.client.ready()


def test_an_engine_to_watch_needs_an_address(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="MINSHENG_ENGINE_URL"):
        EngineSupervisor(Settings(data_dir=tmp_path, engine_start=False), nlu_url="", actions_url="", secret="")


def test_the_log_turns_to_new_files_and_keeps_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.conversations.supervisor._LOG_MAX_BYTES", 10)
    log = RotatingLog(tmp_path / "logs" / "engine.log")
    for number in range(5):
        log.write(f"line {number}\n".encode())
    log.close()
    files = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert files == {"engine.log": "line 4\n", "engine.log.1": "line 3\n", "engine.log.2": "line 2\n"}
    assert (tmp_path / "logs" / "engine.log").stat().st_mode & 0o077 == 0


def test_redis_addresses_become_rasas_settings() -> None:
    store = redis_lock_store("rediss://user:p%40ss@redis.internal:6380/2")
    assert store == {
        "type": "redis",
        "url": "redis.internal",
        "port": 6380,
        "db": 2,
        "use_ssl": True,
        "key_prefix": "minsheng",
        "username": "user",
        "password": "p@ss",
    }
    with pytest.raises(ValueError, match="redis://"):
        redis_lock_store("localhost:6379")
