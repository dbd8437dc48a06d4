"""The buttons of a ticket in a real Chromium: what they ask for, and what the slower of two colleagues is told."""

import pytest
from playwright.sync_api import expect

from tests.staff.conftest import Workbench
from tests.staff.test_browser import Open, eventually, open_as, picture, rows

__all__ = ["open_as"]  # the fixture

pytestmark = pytest.mark.browser


def test_the_slower_colleague_is_told_and_the_buttons_follow_the_state(open_as: Open, workbench: Workbench) -> None:
    [(number,)] = eventually(workbench, "SELECT number FROM tickets WHERE title LIKE '%油烟%'")
    first, second = open_as("dispatcher"), open_as("all")
    for page in (first, second):
        page.goto(f"/staff/tickets/{number}")
        page.get_by_role("button", name="加派").click()
    for page, unit, reason in ((first, "市水利局", "烟道排水"), (second, "市城市管理局", "占道经营")):
        page.get_by_label("承办单位").fill(unit)
        page.get_by_role("option", name=unit, exact=True).click()
        page.get_by_label("说明（内部）").fill(reason)
    first.get_by_role("button", name="确认加派").click()
    expect(first.locator(".timeline")).to_contain_text("烟道排水")
    second.get_by_role("button", name="确认加派").click()
    expect(second.get_by_text("工单已被他人处理，当前状态是")).to_be_visible()
    expect(second.get_by_role("button", name="确认加派")).to_have_count(0)
    expect(second.locator(".timeline")).to_contain_text("烟道排水")
    picture(second, "ticket-slower")
    assert len(rows(workbench, "SELECT 1 FROM ticket_events WHERE number = ? AND operation = 'add_unit'", number)) == 1

    first.get_by_role("button", name="请居民补充").click()
    first.get_by_label("请居民补充什么").fill("是几号楼？")
    first.get_by_role("button", name="确认请居民补充").click()
    expect(first.locator(".tag", has_text="计时暂停")).to_be_visible()
    expect(first.get_by_role("button", name="加派")).to_have_count(0)
    first.get_by_role("button", name="不再等待补充").click()
    first.get_by_role("button", name="确认不再等待补充").click()
    expect(first.locator(".tag", has_text="计时暂停")).to_have_count(0)

    first.get_by_role("button", name="申请延期").click()
    first.get_by_label("延期到哪一天").fill("2099-01-01")
    first.get_by_label("说明（内部）").fill("配件未到")
    first.get_by_label("佐证材料").fill("https://example.org/order.pdf\n订单.pdf")
    first.get_by_role("button", name="确认申请延期").click()
    expect(first.locator(".timeline")).to_contain_text("佐证：订单.pdf")
    expect(first.locator(".timeline").get_by_role("link")).to_have_attribute("href", "https://example.org/order.pdf")
    first.get_by_role("button", name="同意延期", exact=True).click()
    expect(first.get_by_label("延期到哪一天")).to_have_value("2099-01-01")
    first.get_by_label("说明（内部）").fill("情况属实")
    first.get_by_role("button", name="确认同意延期").click()
    expect(first.locator(".timeline")).to_contain_text("情况属实")
    picture(first, "ticket-operations")
