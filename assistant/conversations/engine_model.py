"""The engine's trained model: named by the hash of everything it depends on, trained when it is missing."""

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from assistant.settings import PROJECT_ROOT

KEPT_MODELS = 3
_LAUNCHER = PROJECT_ROOT / "engine" / "launcher.py"
_TRAINING_TIMEOUT_S = 900.0
_PROGRESS_EVERY_S = 5.0

log = structlog.get_logger()


class TrainingFailed(Exception):
    """`rasa train` refused the project; its words are in the engine's log."""


@dataclass(frozen=True, slots=True)
class EngineProject:
    """Where Rasa's files lie (config.yml, domain.yml, training_data/, endpoints.yml, credentials.yml)."""

    folder: Path
    python: Path
    nlu_model_dir: Path

    def command(self, *arguments: str | Path) -> list[str]:
        """The launcher with `arguments`."""
        return [str(self.python), str(_LAUNCHER), *map(str, arguments)]

    def content_hash(self) -> str:
        """24 hex digits that change when the trained model would."""
        digest = hashlib.sha256()
        for name, path in self._inputs():
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()[:24]

    def _inputs(self) -> Iterator[tuple[str, Path]]:
        own = [self.folder / "config.yml", self.folder / "domain.yml", *_files(self.folder / "training_data")]
        code = [*_files(PROJECT_ROOT / "engine", "*.py"), PROJECT_ROOT / "engine" / "requirements.txt"]
        code.append(PROJECT_ROOT / "nlu" / "rasa_component.py")
        for base, paths in ((self.folder, own), (PROJECT_ROOT, code)):
            yield from ((path.relative_to(base).as_posix(), path) for path in paths)
        reader = self.nlu_model_dir / "config.json"
        if reader.is_file():
            yield "reader", reader


def _files(folder: Path, pattern: str = "**/*") -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def engine_environment(home: Path, **values: str | Path) -> dict[str, str]:
    """The environment of an engine process: what it needs and none of the application's secrets.

    `home` is made if need be; Rasa and its libraries keep their own files there instead of in the user's folder.
    """
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "HOME": str(home.resolve()),
        "PYTHONUNBUFFERED": "1",
        "MINSHENG_ENGINE_PARENT": str(os.getpid()),
        **{name: str(value) for name, value in values.items()},
    }


async def trained_model(project: EngineProject, models: Path, write_log: Callable[[bytes], None]) -> Path:
    """The archive for the project as it is now, trained first if `models` lacks it.

    Several processes may ask at once: one trains. `write_log` gets Rasa's output. Raises `TrainingFailed`.
    """
    content_hash = await asyncio.to_thread(project.content_hash)
    archive = models / f"{content_hash}.tar.gz"
    with _training_lock(models) as try_lock:
        # Another process may hold it; a file lock tells nobody when it ends.
        while not try_lock():  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        if archive.exists():
            archive.touch()
        else:
            await _train(project, archive, write_log)
            _forget_old(models)
    return archive


@contextmanager
def _training_lock(models: Path) -> Iterator[Callable[[], bool]]:
    models.mkdir(parents=True, exist_ok=True)
    with (models / "training.lock").open("w") as handle:

        def try_lock() -> bool:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield try_lock  # closing the file ends the lock


async def _train(project: EngineProject, archive: Path, write_log: Callable[[bytes], None]) -> None:
    draft = archive.with_name(f"training-{archive.name}")
    command = project.command(
        "train", "--skip-validation", "--domain", "domain.yml", "--config", "config.yml", "--data", "training_data"
    )
    command += ["--out", str(archive.parent.resolve()), "--fixed-model-name", draft.name]
    environment = engine_environment(
        archive.parent.parent / "home",
        RASA_CACHE_DIRECTORY=(archive.parent / "cache").resolve(),
        MINSHENG_NLU_MODEL_DIR=project.nlu_model_dir.resolve(),
    )
    started = time.monotonic()
    log.info("engine_training", model=archive.stem.partition(".")[0])
    process = await start_engine(command, project.folder, environment)
    assert process.stdout is not None
    pump = asyncio.create_task(copy_lines(process.stdout, write_log))
    try:
        while process.returncode is None:
            if (elapsed := time.monotonic() - started) > _TRAINING_TIMEOUT_S:
                raise TrainingFailed(f"rasa train took more than {_TRAINING_TIMEOUT_S:.0f} s")
            try:
                await asyncio.wait_for(process.wait(), _PROGRESS_EVERY_S)
            except TimeoutError:
                log.info("engine_training", elapsed_s=round(elapsed + _PROGRESS_EVERY_S))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await pump
    if process.returncode != 0 or not draft.exists():
        raise TrainingFailed(f"rasa train ended with status {process.returncode}")
    draft.replace(archive)
    log.info("engine_trained", seconds=round(time.monotonic() - started, 1))


async def start_engine(command: Sequence[str], folder: Path, environment: dict[str, str]) -> asyncio.subprocess.Process:
    """Start an engine process; its output is one stream."""
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches the supervisor, which then stops the engine in order
        limit=1 << 20,
    )


async def copy_lines(stream: asyncio.StreamReader, write: Callable[[bytes], None]) -> None:
    """Hand everything read from `stream` to `write` until its end."""
    while chunk := await stream.read(1 << 16):
        write(chunk)


def _forget_old(models: Path) -> None:
    archives = sorted(models.glob("[0-9a-f]*.tar.gz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for archive in archives[KEPT_MODELS:]:
        archive.unlink(missing_ok=True)
