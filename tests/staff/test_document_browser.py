"""A document's life in a real Chromium: edited by two at once, compared, superseded, asked about as of a day."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from playwright.sync_api import Page, expect

from assistant.db.session import Database
from kb.service import KnowledgeBase, NewDocument
from tests.staff.conftest import Workbench
from tests.staff.encoder import PairEncoder
from tests.staff.test_browser import Open, open_as, picture, rows

__all__ = ["open_as"]

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
NEW_RENT = """第一条 为规范住房公积金提取，制定本办法。
第二条 职工连续足额缴存满三个月，在本市租房的，每年可以提取住房公积金两次支付房租。
第三条 本办法自二〇二六年一月一日起施行。"""


def import_new_rent(workbench: Workbench) -> None:
    """As `minsheng kb import` beside the running workbench would."""

    async def run() -> None:
        db = Database(f"sqlite+aiosqlite:///{workbench.database}")
        document = NewDocument(
            id="rent-2026",
            title="住房公积金租房提取新办法",
            text=NEW_RENT,
            issuer="市住房公积金管理中心",
            valid_from=date(2026, 1, 1),
        )
        await KnowledgeBase(db, PairEncoder()).import_documents([document], publish=True)
        await db.close()

    # Playwright's loop counts as running in this thread.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, run()).result()


def look(page: Page, name: str) -> None:
    """Pictures for people on a wide screen and on a phone; nothing may stick out of the phone's."""
    picture(page, f"{name}-wide")
    size = page.viewport_size
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    picture(page, f"{name}-phone")
    page.set_viewport_size(size or {"width": 1280, "height": 800})


def test_two_edit_at_once_and_the_second_loses_nothing(open_as: Open, workbench: Workbench) -> None:
    first, second = open_as("editor"), open_as("all")
    for page in (first, second):
        page.goto("/staff/knowledge/rent")
        look(page, "document")
        page.get_by_role("link", name="修改").click()
        expect(page.get_by_label("标题")).to_have_value("住房公积金租房提取办法")
    look(first, "document-edit")
    first.get_by_label("发文单位").fill("市公积金中心")
    first.get_by_role("button", name="保存").click()
    first.wait_for_url("**/knowledge/rent")
    expect(first.get_by_text("市公积金中心")).to_be_visible()

    text = second.get_by_label("正文")
    typed = text.input_value().replace("满三个月", "满六个月")
    text.fill(typed)
    second.get_by_role("button", name="保存").click()
    expect(second.get_by_role("heading", name="您打开之后，这份文件被改过")).to_be_visible()
    expect(second.get_by_text("被 editor 改过")).to_be_visible()
    expect(text).to_have_value(typed)
    expect(second.get_by_label("发文单位")).to_have_value("市公积金中心")
    assert rows(workbench, "SELECT version FROM kb_documents WHERE id = 'rent'") == [(2,)]
    look(second, "document-conflict")
    second.get_by_role("button", name="保存").click()
    second.wait_for_url("**/knowledge/rent")
    kept = rows(workbench, "SELECT version, changed_by FROM kb_versions WHERE document_id = 'rent' ORDER BY version")
    assert kept == [(1, "import"), (2, "editor"), (3, "all")]
    assert rows(workbench, "SELECT issuer FROM kb_documents WHERE id = 'rent'") == [("市公积金中心",)]

    second.get_by_role("link", name="比较和恢复版本").click()
    expect(second.locator(".diff-removed")).to_contain_text("－ 删去")
    expect(second.locator(".diff-added")).to_contain_text("＋ 新增")
    expect(second.locator(".diff-added b")).to_have_text("六")
    look(second, "document-versions")
    second.goto("/staff/knowledge")
    second.get_by_label("问题").fill("租房提取住房公积金要缴存多久")
    second.get_by_role("button", name="提问").click()
    expect(second.locator(".answer")).to_contain_text("满六个月")

    first.goto("/staff/knowledge/rent/versions?old=1&new=3")
    first.get_by_label("恢复到").click()
    first.get_by_role("option", name="第 1 版").click()
    first.get_by_role("button", name="恢复成这一版").click()
    first.wait_for_url("**/knowledge/rent")
    assert rows(workbench, "SELECT version, issuer FROM kb_documents WHERE id = 'rent'") == [
        (4, "市住房公积金管理中心")
    ]


def test_a_new_document_takes_the_place_of_an_old_one(open_as: Open, workbench: Workbench) -> None:
    import_new_rent(workbench)
    page = open_as("editor")
    page.goto("/staff/knowledge/rent")
    page.get_by_role("button", name="标为失效").click()
    page.get_by_label("最后有效的一天").fill("2999-01-01")
    page.get_by_role("button", name="确定失效").click()
    expect(page.get_by_text("还没有过完")).to_be_visible()
    page.get_by_role("button", name="取消").click()
    page.get_by_role("button", name="取消").wait_for(state="hidden")
    for text in ("房租咋提", "租房提钱"):
        page.get_by_label("居民的问法").fill(text)
        page.get_by_role("button", name="添加问法").click()
        expect(page.locator(".feedback-card").get_by_text(text)).to_be_visible()
    page.get_by_role("button", name="由新文件替代").click()
    look(page, "document-supersede")
    page.get_by_label("新文件（须已发布）").click()
    page.get_by_role("option", name="住房公积金租房提取新办法").click()
    page.get_by_role("button", name="确定替代").click()
    expect(page.get_by_text("已被替代", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="住房公积金租房提取新办法")).to_be_visible()
    look(page, "document-superseded")
    assert rows(workbench, "SELECT status, valid_to, superseded_by FROM kb_documents WHERE id = 'rent'") == [
        ("superseded", "2025-12-31", "rent-2026")
    ]

    page.goto("/staff/knowledge")
    page.get_by_label("问题").fill("职工可以提取住房公积金支付房租吗")
    page.get_by_role("button", name="提问").click()
    expect(page.locator(".answer")).to_contain_text("租房提取新办法")
    page.get_by_label("按哪一天").fill("2025-12-31")
    page.get_by_role("button", name="提问").click()
    expect(page.get_by_text("按 2025-12-31 这一天有效的规定")).to_be_visible()
    expect(page.locator(".answer")).to_contain_text("租房提取办法")
    expect(page.locator(".answer")).not_to_contain_text("新办法")

    page.goto("/staff/knowledge/rent-2026")
    page.get_by_label("居民的问法").fill("房租咋提")
    page.get_by_role("button", name="添加问法").click()
    expect(page.get_by_text("这个问法已经在这里了")).to_be_visible()
    page.goto("/staff/knowledge/rent")
    page.get_by_role("button", name="撤销替代").click()
    expect(page.get_by_text("已撤销替代，失效日期恢复为替代之前的。")).to_be_visible()
    expect(page.get_by_text("有人改动过的还留在那里，请核对：《住房公积金租房提取新办法》1 个。")).to_be_visible()
    expect(page.get_by_text("已发布", exact=True)).to_be_visible()
    copies = rows(workbench, "SELECT text FROM kb_phrasings WHERE document_id = 'rent-2026'")
    assert copies == [("房租咋提",)]
    assert rows(workbench, "SELECT status, valid_to, superseded_by FROM kb_documents WHERE id = 'rent'") == [
        ("published", None, None)
    ]
    events = [row[0] for row in rows(workbench, "SELECT event FROM audit WHERE object = 'rent' ORDER BY id")]
    assert events[-2:] == ["kb.supersede", "kb.undo_supersede"]
