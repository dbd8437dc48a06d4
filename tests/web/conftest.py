"""A phone's browser before a house with a dialogue engine of the test's own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.house import House


@pytest.fixture
def house(sqlite_template: Path, tmp_path: Path) -> Iterator[House]:
    path = tmp_path / "minsheng.db"
    shutil.copy(sqlite_template, path)
    with House(f"sqlite+aiosqlite:///{path}").serving() as house:
        yield house


@pytest.fixture
def context(chromium: Browser, house: House) -> Iterator[BrowserContext]:
    """Closed before the house, which would wait for its open streams."""
    context = chromium.new_context(viewport={"width": 390, "height": 800}, locale="zh-CN")
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A phone's page. A test fails on any script error or any breach of the page's own security policy."""
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Security Policy" in message.text else None)
    yield page
    assert problems == []
