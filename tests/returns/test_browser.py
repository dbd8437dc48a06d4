"""The page 退单 in a real Chromium: the report, a proposal tried, put in use, taken back, and one asked for."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from assistant.returns.trial import FILE
from assistant.settings import PROJECT_ROOT
from tests.returns.material import CASES, CLEANERS, POLICE, write_city
from tests.servers import free_port
from tests.staff.conftest import _wait
from tests.staff.serve import PASSWORD

pytestmark = pytest.mark.browser


@pytest.fixture
def folder(tmp_path: Path, sqlite_template: Path) -> Path:
    shutil.copy(sqlite_template, tmp_path / "staff.db")
    write_city(tmp_path / "city")
    return tmp_path


@pytest.fixture
def page(chromium: Browser, folder: Path) -> Iterator[Page]:
    """Logged in as a dispatcher; fails on errors in the console."""
    port, log = free_port(), folder / "serve.log"
    url, database = f"http://127.0.0.1:{port}", f"sqlite+aiosqlite:///{folder / 'staff.db'}"
    command = [sys.executable, "-m", "tests.returns.serve", str(port), database, str(folder / "city")]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=output, stderr=output)
    try:
        _wait(f"{url}/staff/login", process, log)
        context = chromium.new_context(base_url=url, viewport={"width": 1280, "height": 900}, locale="zh-CN")
        page, complaints = context.new_page(), []
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/staff/")
        page.get_by_label("用户名").fill("dispatcher")
        page.get_by_label("密码").fill(PASSWORD)
        page.get_by_role("button", name="登录").click()
        page.wait_for_url("**/staff/*")
        yield page
        context.close()
        assert complaints == []
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "staff.db", timeout=30) as database:
        return database.execute(query).fetchall()


def picture(page: Page, name: str) -> None:
    """Kept for people to look at where MINSHENG_PICTURES names a folder."""
    if kept := os.environ.get("MINSHENG_PICTURES"):
        page.screenshot(path=Path(kept) / f"{name}.png", full_page=True)


def test_a_dispatcher_reads_the_report_and_lets_the_matrix_learn(page: Page, folder: Path) -> None:
    page.get_by_role("link", name="退单", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("退单")
    units = page.locator("section", has=page.get_by_role("heading", name="各单位"))
    expect(units).to_contain_text(CLEANERS)
    expect(units).to_contain_text("权属不清 6")
    expect(page.locator(".week")).to_have_count(8)
    recent = page.locator("section", has=page.get_by_role("heading", name="最近的退单"))
    expect(recent.get_by_text("等待裁定", exact=True)).to_be_visible()
    expect(recent.get_by_text(POLICE).first).to_be_visible()
    picture(page, "returns")

    page.get_by_role("button", name="找新的建议").click()
    page.get_by_role("link", name="补充用词").click()
    expect(page.get_by_text("还没有试算")).to_be_visible()
    words = page.get_by_label("用词，用顿号隔开")
    words.fill("狗")
    page.get_by_role("button", name="改成这样").click()
    expect(page.get_by_text("“狗”不能用")).to_be_visible()
    page.get_by_role("button", name="知道了").click()
    words.fill("遛狗、大狼狗、牵绳")
    page.get_by_role("button", name="改成这样").click()
    expect(page.get_by_role("heading", name="遛狗、大狼狗、牵绳")).to_be_visible()
    page.get_by_role("button", name="试算").click()
    expect(page.locator(".answer")).to_contain_text("没有变差：1 条变好")
    expect(page.locator(".answer-bad")).to_have_count(0)
    expect(page.locator(".tag-good", has_text=POLICE)).to_have_count(6)
    picture(page, "returns-tried")
    page.get_by_role("button", name="启用").click()
    expect(page.get_by_text("已启用", exact=True)).to_be_visible()
    page.get_by_role("button", name="停用").click()
    expect(page.get_by_text("已停用", exact=True)).to_be_visible()
    page.get_by_role("button", name="驳回").click()
    expect(page.get_by_text("已驳回", exact=True)).to_be_visible()
    [(proposal, state, by)] = rows(folder, "SELECT id, state, decided_by FROM routing_proposals")
    assert (state, by) == ("已驳回", "dispatcher")
    audited = rows(folder, "SELECT event, object FROM audit WHERE event LIKE 'routing.%' ORDER BY id")
    assert audited == [(f"routing.{step}", str(proposal)) for step in ("revise", "try", "enable", "disable", "reject")]


def test_what_makes_the_test_set_worse_is_said_in_red(page: Page, folder: Path) -> None:
    cases = [{**case, "lead": CLEANERS} if case["id"] == "own-004" else case for case in CASES]
    lines = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases)
    (folder / "city" / FILE).write_text(lines, encoding="utf-8")
    page.goto("/staff/returns")
    page.get_by_role("button", name="找新的建议").click()
    page.get_by_role("link", name="补充用词").click()
    page.get_by_role("button", name="试算").click()
    expect(page.get_by_role("alert").filter(has_text="测试集变差了：1 条不如从前")).to_be_visible()
    expect(page.locator(".answer-bad")).to_have_css("color", "rgb(168, 32, 26)")
    expect(page.locator(".tag-bad", has_text="own-004")).to_be_visible()
    picture(page, "returns-worse")


def test_a_dispatcher_asks_for_one_case(page: Page, folder: Path) -> None:
    page.goto("/staff/returns")
    page.get_by_role("button", name="学这一件").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("事项").click()
    page.get_by_role("option", name="养犬").click()
    dialog.get_by_role("button", name="找建议").click()
    page.wait_for_url("**/returns/*")
    expect(page.get_by_text("来自退单（1）")).to_be_visible()
    picture(page, "returns-one")
    assert rows(folder, "SELECT json_extract(change, '$.matter') FROM routing_proposals") == [("养犬",)]
