"""The three jobs of the workbench in a real Chromium: publish a document, resolve a ticket, answer a resident."""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.additions.material import BIKES, DRONE_REPLY, DRONES
from tests.staff.conftest import Workbench
from tests.staff.serve import COMPLAINT, PASSWORD, PAST_REPLY, WAITING

pytestmark = pytest.mark.browser

DOCUMENT = """# 养犬登记办理指南
第一条 饲养犬只的居民应当自取得犬只之日起十五日内到社区办理养犬登记。
第二条 办理养犬登记需要带身份证、犬只免疫证明和犬只照片两张。
第三条 养犬登记证每年四月续期一次，续期不收费。
"""
Open = Callable[[str], Page]


def rows(workbench: Workbench, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with sqlite3.connect(workbench.database, timeout=30) as database:
        return database.execute(query, values).fetchall()


def eventually(workbench: Workbench, query: str, *values: Any) -> list[tuple[Any, ...]]:
    deadline = time.monotonic() + 60
    while not (found := rows(workbench, query, *values)):
        assert time.monotonic() < deadline, f"nothing for {query}"
        time.sleep(0.2)
    return found


def picture(page: Page, name: str) -> None:
    """Kept for people to look at where MINSHENG_PICTURES names a folder."""
    if folder := os.environ.get("MINSHENG_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture
def open_as(chromium: Browser, workbench: Workbench) -> Iterator[Open]:
    """Logs in through the form; fails on errors in the console and on requests to other hosts."""
    contexts, complaints = [], []

    def open_as(name: str) -> Page:
        context = chromium.new_context(base_url=workbench.url, viewport={"width": 1280, "height": 800}, locale="zh-CN")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda r: complaints.append(r.url) if not r.url.startswith((workbench.url, "data:")) else None
        )
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


def test_an_editor_uploads_looks_and_publishes(open_as: Open, workbench: Workbench, tmp_path: Path) -> None:
    page = open_as("editor")
    page.get_by_label("问题").fill("办理养犬登记需要带什么")
    page.get_by_role("button", name="提问").click()
    expect(page.get_by_text("没有找到", exact=True)).to_be_visible()

    page.get_by_role("link", name="上传文件").click()
    bad = tmp_path / "坏文件.pdf"
    bad.write_bytes(b"this is no pdf at all")
    page.locator("input[type=file]").set_input_files(bad)
    expect(page.get_by_text("内容不是 PDF 文件")).to_be_visible()
    picture(page, "knowledge-refused")
    page.get_by_label("标题").fill("坏文件")
    page.get_by_label("发文单位").fill("市公安局")
    page.get_by_role("button", name="保存草稿").click()
    expect(page.get_by_text("请先选择一个文件")).to_be_visible()
    page.get_by_label("标题").fill("")

    file = tmp_path / "dog.md"
    file.write_text(DOCUMENT, encoding="utf-8")
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_text("已读取")).to_be_visible()
    expect(page.get_by_label("标题")).to_have_value("养犬登记办理指南")
    page.get_by_label("发文单位").fill("市公安局")
    page.get_by_label("文号").fill("示例〔2026〕1号")
    page.get_by_label("生效日期").fill("2026-01-01")
    picture(page, "knowledge-upload")
    page.get_by_role("button", name="保存草稿").click()

    expect(page.get_by_role("heading", name="第二条")).to_be_visible()
    expect(page.get_by_text("草稿", exact=True)).to_be_visible()
    picture(page, "knowledge-draft")
    page.get_by_role("button", name="发布").click()
    expect(page.get_by_text("已发布", exact=True)).to_be_visible()

    page.get_by_role("link", name="知识库", exact=True).first.click()
    page.get_by_label("问题").fill("办理养犬登记需要带什么")
    page.get_by_role("button", name="提问").click()
    expect(page.get_by_text("会这样回答")).to_be_visible()
    expect(page.locator(".answer")).to_contain_text("犬只免疫证明")
    picture(page, "knowledge-answer")

    status, owner, valid_from = rows(
        workbench, "SELECT status, owner, valid_from FROM kb_documents WHERE title = '养犬登记办理指南'"
    )[0]
    assert (status, owner, valid_from) == ("published", "editor", "2026-01-01")
    events = [row[0] for row in rows(workbench, "SELECT event FROM audit WHERE user = 'editor' ORDER BY id")]
    assert [event for event in events if event.startswith("kb.")] == ["kb.add_draft", "kb.publish"]

    page.get_by_role("link", name="养犬登记办理指南").first.click()
    page.get_by_role("button", name="停用").click()
    expect(page.get_by_text("已停用", exact=True)).to_be_visible()


def test_a_dispatcher_accepts_and_resolves_and_the_resident_is_told(open_as: Open, workbench: Workbench) -> None:
    eventually(workbench, "SELECT 1 FROM outbox WHERE state = 'sent' AND operation = 'create'")
    page = open_as("dispatcher")
    expect(page.get_by_text("共 2 件")).to_be_visible()
    page.get_by_label("编号、标题或单位").fill("油烟")
    page.get_by_role("button", name="筛选").click()
    expect(page.get_by_text("共 1 件")).to_be_visible()
    picture(page, "tickets")
    page.locator("table a").first.click()
    number = page.get_by_role("heading", level=1).inner_text()

    judged = page.locator("section", has=page.get_by_role("heading", name="判断依据"))
    for words in ("环境保护 95%", "“烧烤店油烟扰民”", "环境保护 › 环境污染 86%", "nlu-of-the-tests"):
        expect(judged).to_contain_text(words)
    expect(page.get_by_text("交通运输：另外12路公交车等不来")).to_be_visible()

    expect(page.get_by_text("13812345678")).to_have_count(0)
    page.get_by_role("button", name="查看联系方式").click()
    expect(page.get_by_text("13812345678")).to_be_visible()
    picture(page, "ticket-requester")

    page.get_by_role("button", name="签收").click()
    expect(page.locator(".timeline").get_by_text("签收")).to_be_visible()
    page.get_by_role("button", name="办结").click()
    page.get_by_role("button", name="确认办结").click()
    expect(page.get_by_text("请填写给居民的公开答复")).to_be_visible()
    page.get_by_label("公开答复").fill("已责令商户清洗并启用油烟净化设施，今晚复查。")
    picture(page, "ticket-resolve")
    page.get_by_role("button", name="确认办结").click()
    expect(page.locator(".timeline").get_by_text("待回访")).to_be_visible()
    expect(page.locator(".timeline")).to_contain_text("今晚复查")
    picture(page, "ticket-resolved")

    told = eventually(
        workbench,
        "SELECT text FROM messages WHERE conversation_id = ? AND text LIKE '%今晚复查%'",
        COMPLAINT,
    )
    assert len(told) == 1 and number in told[0][0]
    audited = rows(workbench, "SELECT event, object, success FROM audit WHERE user = 'dispatcher' ORDER BY id")
    assert [row for row in audited if row[0] != "login"] == [
        ("ticket.reveal_requester", number, 1),
        ("desk.accept", number, 1),
        ("desk.resolve", number, 1),
    ]


def test_a_returned_ticket_is_ruled_on(open_as: Open, workbench: Workbench) -> None:
    eventually(
        workbench,
        "SELECT 1 FROM tickets t JOIN outbox o ON ticket_number = number WHERE o.state = 'sent' AND urgency = '特急'",
    )
    page = open_as("dispatcher")
    page.get_by_label("编号、标题或单位").fill("煤气味")
    page.get_by_role("button", name="筛选").click()
    expect(page.get_by_text("共 1 件")).to_be_visible()
    page.locator("table a").first.click()
    page.get_by_role("button", name="退单").click()
    page.get_by_label("退单原因").click()
    page.get_by_role("option", name="权属不清").click()
    page.get_by_label("说明（内部）").fill("燃气由燃气公司负责")
    page.get_by_role("button", name="确认退单").click()
    expect(page.locator(".timeline")).to_contain_text("原因：权属不清")
    page.get_by_role("button", name="派单").click()
    page.get_by_label("承办单位").fill("燃气")
    page.get_by_role("option").first.click()
    page.get_by_label("理由（内部）").fill("燃气泄漏由燃气企业处置")
    page.get_by_role("button", name="确认派单").click()
    expect(page.locator(".timeline").get_by_text("改派")).to_be_visible()
    picture(page, "ticket-assigned")
    [(state, unit)] = rows(workbench, "SELECT state, lead_unit FROM tickets WHERE urgency = '特急'")
    assert state == "已派遣" and "燃气" in unit
    # The unit that gave it back has closed its request: the new one gets a request of its own.
    expect(page.get_by_text("单位侧状态：待签收")).to_be_visible()


def test_an_agent_takes_a_resident_edits_a_suggestion_and_sends(open_as: Open, workbench: Workbench) -> None:
    page = open_as("agent")
    expect(page.get_by_text("正在等候 2 人")).to_be_visible()
    picture(page, "queue")
    page.locator(".item").first.get_by_role("button", name="接待").click()
    page.wait_for_url(f"**/conversations/{WAITING}")

    log = page.get_by_role("log")
    expect(log).to_contain_text("烧烤店每天晚上油烟很大")
    expect(log).to_contain_text("投诉 95%")
    expect(log).to_contain_text("地点：金水区花园路85号")
    expect(page.locator(".tag-warn", has_text="环境污染 52%")).to_be_visible()
    expect(page.locator(".suggestion")).to_have_count(3)
    sources = page.locator(".suggestion").all_inner_texts()
    assert all("来源：" in text for text in sources)
    why = log.get_by_role("button", name="依据")
    expect(why).to_have_count(2)  # none under a wish for a person
    why.first.click()
    expect(log).to_contain_text("分类：“油烟很大”")
    expect(log).to_contain_text("紧急程度：没有哪句话特别起作用")
    expect(why).to_have_count(1)
    picture(page, "conversation")

    page.locator(".suggestion", has_text=PAST_REPLY).click()
    editor = page.get_by_label("回复内容")
    expect(editor).to_have_value(PAST_REPLY)
    edited = PAST_REPLY + "有问题可打 13812345678 找我。"
    editor.fill(edited)
    picture(page, "conversation-edit")
    page.get_by_role("button", name="发送").click()
    sent = PAST_REPLY + "有问题可打 138****5678 找我。"
    expect(log).to_contain_text(sent)
    expect(editor).to_have_value("")
    assert rows(workbench, "SELECT text, author FROM messages WHERE sender = 'agent'") == [(sent, "李晓燕")]
    assert (sent,) in rows(workbench, "SELECT reply FROM past_replies WHERE source = 'agent'")

    with sqlite3.connect(workbench.database, timeout=30) as database:
        database.execute(
            "INSERT INTO messages (conversation_id, sender, text, status, understanding, created_at)"
            " VALUES (?, 'resident', '谢谢，您说得很清楚', 'answered', ?, datetime('now'))",
            (WAITING, json.dumps({"intent": "thank", "confidence": {"intent": 0.99}})),
        )
    expect(log).to_contain_text("谢谢，您说得很清楚")
    expect(log).to_contain_text("致谢 99%")

    page.get_by_role("button", name="结束").click()
    page.wait_for_url("**/queue")
    expect(page.get_by_text("正在等候 1 人")).to_be_visible()
    assert rows(workbench, "SELECT state FROM conversations WHERE id = ?", WAITING) == [("bot",)]


def test_an_editor_teaches_an_intent_and_puts_it_in_use(open_as: Open, workbench: Workbench) -> None:
    page = open_as("editor")
    page.get_by_role("link", name="教它新事").click()
    page.get_by_label("名称").fill("无人机登记")
    page.get_by_label("答复").fill(DRONE_REPLY)
    page.get_by_label("例句").fill("\n".join((*DRONES[:9], "", "飞")))
    page.get_by_role("button", name="试训").click()
    expect(page.get_by_text("第 11 行：“飞”太短")).to_be_visible()
    page.get_by_role("button", name="知道了").click()
    page.get_by_label("例句").fill("\n".join(DRONES))
    picture(page, "teaching-form")
    page.get_by_role("button", name="试训").click()
    expect(page.get_by_role("status")).to_contain_text("%")
    page.wait_for_url("**/teaching/*")
    expect(page.get_by_role("heading", name="试训报告")).to_be_visible()
    expect(page.locator(".answer")).to_contain_text("10 句里认出")
    expect(page.get_by_text("试训", exact=True)).to_be_visible()
    picture(page, "teaching-report")
    assert rows(workbench, "SELECT state, created_by FROM additions") == [("试训", "editor")]

    page.get_by_role("button", name="启用").click()
    expect(page.get_by_text("已启用", exact=True)).to_be_visible()
    page.get_by_role("link", name="教它新事").first.click()
    expect(page.locator("table")).to_contain_text("无人机登记")
    expect(page.locator("table")).to_contain_text("已启用")
    picture(page, "teaching-list")
    page.get_by_role("link", name="无人机登记").click()
    page.get_by_role("button", name="停用").click()
    expect(page.get_by_text("已停用", exact=True)).to_be_visible()
    page.get_by_role("link", name="改例句再试").click()
    expect(page.get_by_label("例句")).to_have_value("\n".join(DRONES))
    assert rows(workbench, "SELECT state FROM additions") == [("已停用",)]
    events = [row[0] for row in rows(workbench, "SELECT event FROM audit WHERE user = 'editor' ORDER BY id")]
    taught = [event for event in events if event.startswith("addition.")]
    assert taught == ["addition.trial", "addition.enable", "addition.disable"]


def test_an_editor_teaches_a_category(open_as: Open, workbench: Workbench) -> None:
    page = open_as("editor")
    page.get_by_role("link", name="教它新事").click()
    page.get_by_role("radio", name="类别").click()
    page.get_by_label("名称").fill("共享单车管理")
    page.get_by_label("一级类别").click()
    page.get_by_role("option", name="城乡建设").click()
    page.get_by_label("承办单位").fill("市城市管理")
    page.get_by_role("option", name="市城市管理局").click()
    page.get_by_label("例句").fill("\n".join(BIKES))
    picture(page, "teaching-category")
    page.get_by_role("button", name="试训").click()
    page.wait_for_url("**/teaching/*")
    expect(page.locator(".facts").last).to_contain_text("市城市管理局")
    picture(page, "teaching-category-report")
    page.get_by_role("button", name="启用").click()
    expect(page.get_by_text("已启用", exact=True)).to_be_visible()
    [(level1, unit, state)] = rows(workbench, "SELECT level1, unit, state FROM additions WHERE kind = 'category'")
    assert (level1, unit, state) == ("城乡建设", "市城市管理局", "已启用")


def test_an_open_page_ends_with_the_account(open_as: Open, workbench: Workbench) -> None:
    page = open_as("boss")
    expect(page.get_by_role("heading", name="待接居民")).to_be_visible()
    with sqlite3.connect(workbench.database, timeout=30) as database:
        database.execute("UPDATE users SET active = 0 WHERE name = 'boss'")
    page.wait_for_url("**/staff/login**")
    expect(page.get_by_label("用户名")).to_be_visible()


def test_a_dispatcher_sends_again_what_was_refused(open_as: Open, workbench: Workbench) -> None:
    eventually(workbench, "SELECT 1 FROM outbox WHERE state = 'sent' AND operation = 'create'")
    [(number,)] = rows(workbench, "SELECT number FROM tickets ORDER BY number LIMIT 1")
    with sqlite3.connect(workbench.database, timeout=30) as database:
        for n in range(3):
            database.execute(
                "INSERT INTO outbox (key, ticket_number, destination, operation, payload, state, attempts, last_error,"
                " next_attempt_at, created_at) VALUES (?, ?, 'desk', 'supplement', ?, 'dead', 7, ?,"
                " '2026-01-01 00:00:00', '2026-01-01 00:00:00')",
                (f"dead-{n}", number, json.dumps({"text": "更严重了"}), f"对方回答 400：第{n}条太长"),
            )
    page = open_as("dispatcher")
    page.get_by_role("link", name="未送达").click()
    expect(page.locator(".item")).to_have_count(3)
    expect(page.locator(".item", has_text="第1条太长")).to_contain_text("试过 7 次")
    picture(page, "undelivered")
    page.locator(".item", has_text="第1条太长").get_by_role("button", name="重新发送").click()
    expect(page.locator(".item")).to_have_count(2)
    page.get_by_role("button", name="全部重新发送（2）").click()
    expect(page.get_by_text("没有放弃发送的工单")).to_be_visible()
    sent = "SELECT count(*) AS sent FROM outbox WHERE key LIKE 'dead-%' AND state = 'sent'"
    eventually(workbench, f"SELECT 1 FROM ({sent}) WHERE sent = 3")
    audited = rows(workbench, "SELECT event FROM audit WHERE user = 'dispatcher' AND event LIKE 'outbox%' ORDER BY id")
    assert audited == [("outbox.replay",), ("outbox.replay_all",)]
