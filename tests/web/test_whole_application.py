"""A resident with a phone before the whole application: Rasa, the language model, the knowledge base, the desk."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.application import AppServer

pytestmark = [pytest.mark.browser, pytest.mark.engine]

NUMBER = re.compile(r"[A-Z0-9]{2,}-?\d{6,}")


def test_a_resident_complains_and_gets_a_ticket_number(app_server: AppServer, chromium: Browser) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 800}, locale="zh-CN")
    context.set_default_timeout(30_000)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    try:
        page.goto(app_server.base_url)
        box = page.get_by_label("您的问题或诉求")
        box.fill("二七区政通路6号楼下烧烤店每天晚上油烟很大，我家孩子一直咳嗽")
        box.press("Enter")
        expect(page.locator(".assistant .text").last).to_contain_text(re.compile("电话|手机|联系"), timeout=30_000)
        box.fill("13800005678")
        box.press("Enter")
        expect(page.locator(".assistant .text").last).to_contain_text("政通路6号", timeout=30_000)
        # The number was masked before it was kept.
        expect(page.locator(".resident .text").last).to_have_text("138****5678")
        page.get_by_role("button", name="确认提交").click()
        card = page.locator(".ticket").first
        expect(card).to_be_visible(timeout=30_000)
        number = card.locator(".number").inner_text()
        assert NUMBER.search(number)
        expect(card).to_contain_text("承办单位")
        expect(card).to_contain_text("办结时限")
        # Nothing is lost over a reload.
        page.reload()
        expect(page.locator(".ticket .number").first).to_have_text(number)
        box.fill("查工单进度")
        box.press("Enter")
        expect(page.locator(".assistant .text").last).to_contain_text(number, timeout=30_000)
    finally:
        context.close()
    assert faults == []


def test_a_policy_question_shows_its_source(app_server: AppServer, chromium: Browser) -> None:
    context = chromium.new_context(locale="zh-CN")
    page = context.new_page()
    try:
        page.goto(app_server.base_url)
        box = page.get_by_label("您的问题或诉求")
        box.fill("租房可以提取住房公积金吗？")
        box.press("Enter")
        source = page.locator("details.source").first
        expect(source).to_be_visible(timeout=30_000)
        source.locator("summary").click()
        expect(source).to_contain_text("发布机关")
        expect(source).to_contain_text("有效期")
    finally:
        context.close()
