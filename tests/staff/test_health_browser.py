"""体检, 回归用例 and verdicts on answers in a real Chromium, at the widths of a desk and of a phone."""

import json
import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.staff.conftest import Open, Workbench
from tests.staff.looking import fits, picture
from tests.staff.serve import CALM

pytestmark = pytest.mark.browser

RENT = "租房提取住房公积金要缴存几个月"


def test_a_question_is_kept_as_a_case_and_asked_again(open_as: Open) -> None:
    page = open_as("editor")
    page.get_by_label("问题", exact=True).fill(RENT)
    page.get_by_role("button", name="提问").click()
    expect(page.get_by_text("会这样回答")).to_be_visible()
    page.get_by_role("button", name="存为回归用例").click()
    expect(page.get_by_text("已存为回归用例：《住房公积金租房提取办法》")).to_be_visible()
    picture(page, "hit-test-case")
    page.get_by_role("button", name="存为回归用例").click()
    expect(page.get_by_text("这个问题已经是回归用例")).to_be_visible()

    page.get_by_role("link", name="回归用例").click()
    expect(page.get_by_role("heading", name="回归用例")).to_be_visible()
    expect(page.get_by_text(RENT)).to_be_visible()
    page.get_by_role("button", name="全部重问一遍").click()
    expect(page.get_by_text("1 条，1 条对，0 条不对。")).to_be_visible()

    page.goto("/staff/knowledge/rent")
    page.get_by_role("button", name="停用").click()
    page.wait_for_timeout(500)
    confirm = page.get_by_role("dialog").get_by_role("button", name="停用")
    if confirm.count():
        confirm.click()
    expect(page.get_by_text("已停用", exact=True).first).to_be_visible()
    page.goto("/staff/cases")
    page.get_by_role("button", name="全部重问一遍").click()
    expect(page.get_by_text("1 条，0 条对，1 条不对。")).to_be_visible()
    expect(page.get_by_text("说不知道")).to_be_visible()
    picture(page, "cases")
    fits(page)
    page.set_viewport_size({"width": 390, "height": 844})
    picture(page, "cases-phone")
    fits(page)
    page.get_by_role("button", name="删除").click()
    expect(page.get_by_text("还没有回归用例")).to_be_visible()


def test_the_hit_test_keeps_to_the_chosen_documents(open_as: Open, workbench: Workbench) -> None:
    def called(category: str) -> None:
        with sqlite3.connect(workbench.database, timeout=30) as database:
            moment = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
            change = f"UPDATE kb_documents SET status = 'published', category = ?, updated_at = {moment}"
            database.execute(change, (category,))
            database.execute("UPDATE kb_revision SET revision = revision + 1")

    called("公积金")
    page = open_as("editor")
    page.get_by_label("问题", exact=True).fill(RENT)
    page.get_by_role("combobox", name="类别").click()
    page.get_by_role("option", name="公积金").click()
    page.get_by_role("button", name="提问").click()
    expect(page.get_by_text("会这样回答")).to_be_visible()
    expect(page.get_by_text("换成好懂的说法")).to_be_visible()
    expect(page.get_by_text("没有启用，用原文")).to_be_visible()
    expect(page.get_by_role("button", name="存为回归用例")).to_have_count(0)
    picture(page, "hit-test-filters")
    fits(page)
    called("住房")
    page.get_by_role("button", name="提问").click()
    expect(page.get_by_text("没有有效的文件")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_an_agent_judges_an_answer_and_an_editor_sees_the_task(open_as: Open, workbench: Workbench, width: int) -> None:
    citation = {"document": "rent", "article": "第二条", "title": "住房公积金租房提取办法"}
    with sqlite3.connect(workbench.database, timeout=30) as database:
        database.execute("DELETE FROM kb_findings")
        database.execute(
            "INSERT INTO messages (conversation_id, sender, text, status, citations, created_at)"
            " VALUES (?, 'assistant', '连续缴存满三个月可以提取。', 'answered', ?, '2026-11-22 08:00:00.000000')",
            (CALM, json.dumps([citation])),
        )
    page = open_as("agent", width)
    page.goto(f"/staff/conversations/{CALM}")
    wrong = page.get_by_role("button", name="不对").last
    wrong.click()
    expect(page.get_by_text("已记到这份文件上，并列入体检")).to_be_visible()
    expect(wrong).to_have_attribute("aria-pressed", "true")
    picture(page, f"verdicts-{width}")
    page.reload()
    expect(page.get_by_role("button", name="不对").last).to_have_attribute("aria-pressed", "true")

    page = open_as("editor", width)
    page.goto("/staff/health")
    finding = page.get_by_role("article").filter(has_text="《住房公积金租房提取办法》第二条：")
    expect(finding).to_be_visible()
    finding.get_by_label("负责人").fill("郑编辑")
    finding.get_by_label("负责人").press("Enter")
    expect(page.get_by_text("负责人已保存")).to_be_visible()
    page.get_by_role("button", name="现在体检").click()
    expect(page.get_by_text("用时")).to_be_visible()
    picture(page, f"health-{width}")
    fits(page)
    finding.get_by_role("button", name="处理好了").click()
    expect(page.get_by_text("没有要处理的")).to_be_visible()
    with sqlite3.connect(workbench.database, timeout=30) as database:
        states = database.execute("SELECT state, owner, changed_by FROM kb_findings WHERE kind = 'feedback'").fetchall()
    assert states == [("已处理", "郑编辑", "editor")]


def test_a_contradiction_shows_both_texts_and_can_be_waved_off(open_as: Open, tmp_path: Path) -> None:
    page = open_as("editor")
    for name, cost in (("护照办理指南", "120"), ("出入境办理须知", "160")):
        file = tmp_path / f"{name}.md"
        file.write_text(f"# {name}\n## 费用\n普通护照每本收费{cost}元。\n", encoding="utf-8")
        page.goto("/staff/upload")
        page.locator("input[type=file]").set_input_files(file)
        expect(page.get_by_text("已读取").first).to_be_visible()
        page.get_by_label("发文单位").fill("市公安局")
        page.get_by_role("button", name="保存草稿").click()
        page.get_by_role("button", name="发布").click()
        expect(page.get_by_text("已发布", exact=True).first).to_be_visible()
    page.goto("/staff/health")
    page.get_by_role("button", name="现在体检").click()
    finding = page.get_by_role("article").filter(has_text="说法矛盾")
    expect(finding).to_contain_text("普通护照每本收费120元。")
    expect(finding).to_contain_text("普通护照每本收费160元。")
    picture(page, "health-contradiction")
    page.set_viewport_size({"width": 390, "height": 844})
    fits(page)
    picture(page, "health-contradiction-phone")
    finding.get_by_role("button", name="不用处理").click()
    expect(finding).to_have_count(0)


def test_what_was_said_stands_on_the_documents_page(open_as: Open, workbench: Workbench) -> None:
    with sqlite3.connect(workbench.database, timeout=30) as database:
        database.execute(
            "INSERT INTO kb_feedback (key, document_id, article, verdict, comment, source, created_at)"
            " VALUES ('t:1', 'rent', '第二条', 'outdated', '<b>去年</b>就改了', 'resident',"
            " '2026-11-22 08:00:00.000000')"
        )
    page = open_as("editor")
    page.goto("/staff/knowledge/rent")
    expect(page.get_by_role("heading", name="居民和座席的评价")).to_be_visible()
    expect(page.get_by_text("<b>去年</b>就改了")).to_be_visible()
    picture(page, "document-feedback")
