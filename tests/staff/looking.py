"""What browser tests of the workbench's pages look at."""

import os
from pathlib import Path

from playwright.sync_api import Page


def picture(page: Page, name: str) -> None:
    """Kept for people to look at where MINSHENG_PICTURES names a folder."""
    if folder := os.environ.get("MINSHENG_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def fits(page: Page) -> None:
    """Nothing to scroll sideways, and what is pressed is as large as a finger."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    small = page.evaluate(
        "[...document.querySelectorAll('#main button, #main .btn, .finding-quote a')].filter(e => e.offsetParent"
        " && e.getBoundingClientRect().height < 44).map(e => e.innerText)"
    )
    assert small == []
