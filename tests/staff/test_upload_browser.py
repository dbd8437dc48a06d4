"""Upload in a real Chromium: passages before anything is stored, sheets, archives, files that are refused."""

import re
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.kb.files import book, ole, packed, pdf_of
from tests.staff.conftest import Workbench
from tests.staff.serve import PASSWORD
from tests.staff.test_browser import picture, rows

pytestmark = pytest.mark.browser


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desk", "phone"])
def upload(request: pytest.FixtureRequest, chromium: Browser, workbench: Workbench) -> Iterator[Page]:
    """The upload page of an editor; fails on errors in the console."""
    width, height = request.param
    context = chromium.new_context(
        base_url=workbench.url, viewport={"width": width, "height": height}, locale="zh-CN", accept_downloads=True
    )
    page = context.new_page()
    complaints: list[str] = []
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/staff/login")
    page.get_by_label("用户名").fill("editor")
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_role("button", name="登录").click()
    page.wait_for_url("**/staff/*")
    page.goto("/staff/upload")
    yield page
    context.close()
    assert complaints == []


def _choose(page: Page, folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    page.locator("input[type=file]").set_input_files(folder / name)


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_the_template_is_filled_in_and_its_rows_become_drafts(
    upload: Page, workbench: Workbench, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    width = upload.viewport_size["width"] if upload.viewport_size else 0
    with upload.expect_download() as download:
        upload.get_by_role("button", name="下载问答模板").click()
    download.value.save_as(tmp_path / "模板.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "模板.xlsx")
    for number in range(3):
        sheet["问答"].append([f"{width} 号停车场第 {number} 层多少钱？", f"每小时 {number + 3} 元。"])
    sheet["问答"].append(["没有答案的问题？", None])
    sheet.save(tmp_path / "填好.xlsx")
    upload.locator("input[type=file]").set_input_files(tmp_path / "填好.xlsx")

    expect(upload.get_by_text("3 份")).to_be_visible()
    expect(upload.get_by_text("第 5 行：缺少“答案”")).to_be_visible()
    first = upload.locator("summary", has_text="第 0 层")
    first.click()
    expect(upload.get_by_text("每小时 3 元。")).to_be_visible()
    assert _fits(upload)
    picture(upload, f"upload-sheet-{width}")
    stored = "SELECT issuer, status, owner FROM kb_documents WHERE title LIKE ?"
    assert rows(workbench, stored, f"{width} 号%") == []

    upload.get_by_role("button", name="保存草稿").click()
    expect(upload.get_by_text("有的条目没有写发文单位")).to_be_visible()
    upload.get_by_label("发文单位").fill("市城管局")
    upload.get_by_role("button", name="保存草稿").click()
    expect(upload.get_by_text("新增 3 份")).to_be_visible()
    picture(upload, f"upload-stored-{width}")
    assert rows(workbench, stored, f"{width} 号%") == [("市城管局", "draft", "editor")] * 3


def test_what_is_left_out_and_what_is_refused_is_told(upload: Page, tmp_path: Path) -> None:
    width = upload.viewport_size["width"] if upload.viewport_size else 0
    _choose(upload, tmp_path, "旧文件.doc", ole("WordDocument"))
    expect(upload.get_by_text("另存为 .docx")).to_be_visible()
    _choose(upload, tmp_path, "加密.xlsx", ole("EncryptedPackage"))
    expect(upload.get_by_text("打开密码")).to_be_visible()
    _choose(upload, tmp_path, "半扫描.pdf", pdf_of("The first page has text.", None, None))
    expect(upload.get_by_text("第 2—3 页没有文字")).to_be_visible()
    expect(upload.locator(".preview .pre")).to_have_text("The first page has text.")
    assert _fits(upload)
    picture(upload, f"upload-scan-{width}")
    pair = book([["问题", "答案"], ["夜市几点收摊", "晚上十一点。"]])
    _choose(upload, tmp_path, "一包.zip", packed({"a.xlsx": pair, "b/坏.pdf": b"no", "../c.txt": "x"}))
    expect(upload.get_by_text(re.compile("路径不安全"))).to_be_visible()
    expect(upload.get_by_text("内容不是 PDF 文件")).to_be_visible()
    expect(upload.locator("summary")).to_have_count(1)
    assert _fits(upload)
    picture(upload, f"upload-zip-{width}")


def test_nothing_of_the_file_before_remains_in_the_form(upload: Page, tmp_path: Path) -> None:
    about = "---\ntitle: 停车收费办法\ndocument_number: 示例〔2026〕1号\nvalid_from: 2020-01-01\n---\n停车按小时收费。"
    _choose(upload, tmp_path, "停车.md", about.encode())
    expect(upload.get_by_label("标题（必填）")).to_have_value("停车收费办法")
    expect(upload.get_by_label("生效日期")).to_have_value("2020-01-01")
    upload.get_by_label("发文单位").fill("市城管局")
    _choose(upload, tmp_path, "夜市.md", "# 夜市管理办法\n夜市十一点收摊。".encode())
    expect(upload.get_by_label("标题（必填）")).to_have_value("夜市管理办法")
    expect(upload.get_by_label("生效日期")).to_have_value("")
    expect(upload.get_by_label("文号")).to_have_value("")
    expect(upload.get_by_label("发文单位")).to_have_value("市城管局")
    expect(upload.locator(".preview")).to_have_count(1)
