import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, Page, expect

from assistant.staff import users
from tests.servers import free_port
from tests.staff.serve import PASSWORD

Open = Callable[..., Page]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def cheap_password_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost little: what is tested is what happens around them."""
    monkeypatch.setattr(users, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@dataclass
class Workbench:
    """A running workbench (tests/staff/serve.py) and the file of its database."""

    url: str
    database: Path
    log: Path


@pytest.fixture(scope="module")
def workbench(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    folder = tmp_path_factory.mktemp("workbench")
    database, log, port = folder / "staff.db", folder / "serve.log", free_port()
    shutil.copy(sqlite_template, database)
    command = [sys.executable, "-m", "tests.staff.serve", str(port), f"sqlite+aiosqlite:///{database}"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        _wait(f"http://127.0.0.1:{port}/staff/login", process, log)
        yield Workbench(f"http://127.0.0.1:{port}", database, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(url, timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise RuntimeError(f"the workbench did not start:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture
def open_as(chromium: Browser, workbench: Workbench) -> Iterator[Open]:
    """Logs in through the form; fails on errors in the console."""
    contexts, complaints = [], []

    def open_as(name: str, width: int = 1280) -> Page:
        context = chromium.new_context(base_url=workbench.url, viewport={"width": width, "height": 844}, locale="zh-CN")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/staff/")
        page.get_by_label("用户名").fill(name)
        page.get_by_label("密码").fill(PASSWORD)
        page.get_by_role("button", name="登录").click()
        page.wait_for_url("**/staff/*")
        return page

    yield open_as
    for context in contexts:
        context.close()
    assert complaints == []
