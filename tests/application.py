"""The real application as a process: `minsheng serve` on a free port with a fresh data folder."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.servers import free_port

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Resident:
    """A resident who talks to the application over its public API."""

    base_url: str
    id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def post(self, text: Any, client_message_id: str | None = None, *, timeout_s: float = 60) -> httpx.Response:
        return httpx.post(
            f"{self.base_url}/api/v1/conversations/{self.id}/messages",
            json={"text": text, "client_message_id": client_message_id or uuid.uuid4().hex},
            headers=self.headers,
            timeout=timeout_s,
        )

    def say(self, text: str) -> dict[str, Any]:
        """The whole answer to one message."""
        response = self.post(text)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def hear(self, text: str) -> str:
        """The words of the answer to one message."""
        return "\n".join(message["text"] for message in self.say(text)["messages"])

    def messages(self, after: int = 0) -> list[dict[str, Any]]:
        response = httpx.get(
            f"{self.base_url}/api/v1/conversations/{self.id}/messages",
            params={"after": after},
            headers=self.headers,
            timeout=30,
        )
        response.raise_for_status()
        return list(response.json()["messages"])

    def wait_for(self, words: str, *, after: int = 0, timeout_s: float = 60) -> dict[str, Any]:
        """The first message of somebody else that holds `words`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for message in self.messages(after):
                if message["sender"] != "resident" and words in message["text"]:
                    return message
            time.sleep(0.2)
        raise AssertionError(f"no message with {words!r}; there is {[m['text'] for m in self.messages(after)]}")


@dataclass
class AppServer:
    """A running application. `environment`: what a command line tool needs to work on the same data."""

    base_url: str
    data_dir: Path
    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    def resident(self) -> Resident:
        response = httpx.post(f"{self.base_url}/api/v1/conversations", timeout=30)
        assert response.status_code == 201, response.text
        return Resident(self.base_url, **response.json())

    def log(self) -> str:
        return (self.data_dir / "serve.log").read_text(errors="replace")

    def engine_pids(self) -> list[int]:
        """The processes of the dialogue engine below this application."""
        import psutil

        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child.pid for child in children if "launcher.py" in " ".join(child.cmdline())]

    def command(self, *arguments: str, stdin: str | None = None, timeout_s: float = 300) -> str:
        """Run `minsheng …` on the same data and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "assistant.cli", *arguments],
            env=self.environment,
            cwd=ROOT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
        return done.stdout


def copy_start(source: Path, target: Path) -> None:
    """Give a new data folder what a first start makes: the seeded database and the engine's trained model."""
    target.mkdir(parents=True)
    with sqlite3.connect(source / "minsheng.db") as old, sqlite3.connect(target / "minsheng.db") as new:
        old.backup(new)
    shutil.copytree(source / "engine" / "models", target / "engine" / "models")
    shutil.copy(source / "secret.key", target / "secret.key")


@contextmanager
def serve(data_dir: Path, **settings: str) -> Iterator[AppServer]:
    """Start the application and wait until it is ready; `settings` become `MINSHENG_…`."""
    data_dir.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MINSHENG_")}
    environment |= {
        "MINSHENG_DATA_DIR": str(data_dir),
        "MINSHENG_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
    }
    environment |= {f"MINSHENG_{key.upper()}": value for key, value in settings.items()}
    with (data_dir / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "assistant.cli", "serve"], env=environment, cwd=ROOT, stdout=log, stderr=log
        )
    server = AppServer(f"http://127.0.0.1:{port}", data_dir, process, environment)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(server: AppServer, timeout_s: float = 240) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"the application ended:\n{server.log()[-4000:]}")
        try:
            if httpx.get(f"{server.base_url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise RuntimeError(f"not ready after {timeout_s} s:\n{server.log()[-4000:]}")
