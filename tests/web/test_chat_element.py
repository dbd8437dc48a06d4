"""The chat element in a real Chromium, over the real gateway."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from assistant.conversations.engine import EngineReply
from tests.house import House

pytestmark = pytest.mark.browser

SCRIPT = '路灯<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>{{7*7}}'
CITATION = {
    "document": "gjj",
    "article": "第二十四条",
    "title": "住房公积金管理条例",
    "issuer": "国务院",
    "valid_from": "2019-03-24",
    "valid_to": None,
}


def open_page(page: Page, house: House) -> None:
    page.goto(house.base_url)
    expect(page.get_by_text("您好，我是市民诉求助手。")).to_be_visible()


def say(page: Page, text: str) -> None:
    page.get_by_label("您的问题或诉求").fill(text)
    page.get_by_role("button", name="发送").click()


def test_a_message_is_answered(page: Page, house: House) -> None:
    open_page(page, house)
    say(page, "路灯坏了")
    expect(page.locator(".assistant .text")).to_have_text("答：路灯坏了")
    expect(page.locator(".assistant .byline")).to_contain_text("助手")
    expect(page.locator(".resident .text")).to_have_text("路灯坏了")
    expect(page.get_by_label("您的问题或诉求")).to_have_value("")


def test_markup_is_shown_as_text(page: Page, house: House) -> None:
    open_page(page, house)
    house.engine.replies = lambda text: [
        EngineReply(
            text=text,
            buttons=[{"title": SCRIPT, "payload": "好"}],
            citations=[CITATION | {"title": SCRIPT, "issuer": SCRIPT}],
            ticket={"number": SCRIPT, "state": SCRIPT, "unit": SCRIPT, "due_at": None},
        )
    ]
    say(page, SCRIPT)
    expect(page.locator(".assistant .text")).to_have_text(SCRIPT)
    expect(page.locator(".resident .text")).to_have_text(SCRIPT)
    expect(page.locator(".number")).to_have_text(SCRIPT)
    expect(page.get_by_role("button", name=SCRIPT)).to_be_visible()
    assert page.locator(".log img, .log script").count() == 0
    assert page.evaluate("window.hacked") is None


def test_suggestions_and_buttons_say_what_they_show(page: Page, house: House) -> None:
    open_page(page, house)
    house.engine.replies = lambda text: [EngineReply(text="请选择", buttons=[{"title": "提交", "payload": "确认提交"}])]
    page.get_by_role("button", name="我要投诉").click()
    page.get_by_role("button", name="提交", exact=True).click()
    expect(page.locator(".resident .text")).to_have_text(["我要投诉", "确认提交"])
    # Only the newest buttons can be pressed.
    expect(page.get_by_role("button", name="提交", exact=True)).to_have_count(1)
    page.get_by_role("button", name="转人工").click()
    expect(page.locator(".assistant .text")).to_have_count(3)
    assert house.engine.heard == ["我要投诉", "确认提交", "转人工"]


def test_a_source_opens(page: Page, house: House) -> None:
    open_page(page, house)
    house.engine.replies = lambda _: [
        EngineReply(
            text="可以", citations=[CITATION, CITATION | {"article": "第五条"}, CITATION | {"valid_to": "2020-01-01"}]
        )
    ]
    say(page, "公积金")
    card = page.locator("details").first
    expect(card.get_by_text("国务院")).to_be_hidden()
    card.locator("summary").click()
    expect(card.get_by_text("国务院")).to_be_visible()
    expect(card).to_contain_text("2019年3月24日 起施行，现行有效")
    expect(page.locator("details")).to_have_count(2)
    expect(card.locator("summary")).to_contain_text("、第五条")
    expect(page.locator("details").last).to_contain_text("已于 2020年1月1日 到期")


def test_a_ticket_shows_number_unit_and_deadline(page: Page, house: House) -> None:
    open_page(page, house)
    due = datetime.now(UTC) + timedelta(days=7)
    ticket = {"number": "ZZ-1", "state": "待派遣", "unit": "金水区城市管理局", "due_at": due.isoformat()}
    house.engine.replies = lambda _: [EngineReply(text="已登记", ticket=ticket)]
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=house.base_url)
    say(page, "路灯坏了")
    card = page.locator(".ticket")
    local = due + timedelta(hours=8)
    expect(card).to_contain_text(f"{local.month}月{local.day}日")
    expect(card).to_contain_text("还有 7 天")
    expect(card).to_contain_text("金水区城市管理局")
    card.get_by_role("button", name="复制").click()
    expect(card.get_by_role("button", name="已复制")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "ZZ-1"


def test_a_reload_keeps_the_conversation(page: Page, house: House) -> None:
    open_page(page, house)
    say(page, "路灯坏了")
    expect(page.locator(".assistant .text")).to_have_text("答：路灯坏了")
    page.get_by_label("您的问题或诉求").fill("还没写完")
    page.reload()
    expect(page.locator(".message .text")).to_have_text(["路灯坏了", "答：路灯坏了"])
    expect(page.get_by_label("您的问题或诉求")).to_have_value("还没写完")
    say(page, "还有井盖")
    expect(page.locator(".assistant .text")).to_have_text(["答：路灯坏了", "答：还有井盖"])


def test_restart_begins_a_new_conversation(page: Page, house: House) -> None:
    open_page(page, house)
    say(page, "路灯坏了")
    expect(page.locator(".assistant .text")).to_have_count(1)
    page.get_by_role("button", name="重新开始").click()
    page.get_by_role("button", name="不清空").click()
    expect(page.locator(".assistant .text")).to_have_count(1)
    page.get_by_role("button", name="重新开始").click()
    page.get_by_role("button", name="清空", exact=True).click()
    expect(page.locator(".message")).to_have_count(0)
    page.reload()
    expect(page.get_by_text("您好，我是市民诉求助手。")).to_be_visible()
    say(page, "井盖坏了")
    expect(page.locator(".message .text")).to_have_text(["井盖坏了", "答：井盖坏了"])


# --- bad networks ---------------------------------------------------------------------------------------------------


def test_what_is_said_offline_is_sent_once_when_the_network_is_back(page: Page, house: House) -> None:
    open_page(page, house)
    say(page, "第一句")
    expect(page.locator(".assistant .text")).to_have_count(1)
    page.context.set_offline(True)
    say(page, "第二句")
    say(page, "第三句")
    expect(page.get_by_text("联网后自动发出").first).to_be_visible()
    expect(page.locator(".resident .text")).to_have_text(["第一句", "第二句", "第三句"])
    page.context.set_offline(False)
    expect(page.locator(".assistant .text")).to_have_text(["答：第一句", "答：第二句", "答：第三句"])
    expect(page.locator(".resident .text")).to_have_text(["第一句", "第二句", "第三句"])
    expect(page.locator(".notice")).to_be_hidden()
    assert house.engine.heard == ["第一句", "第二句", "第三句"]


def test_an_unsent_message_survives_a_reload(page: Page, house: House) -> None:
    open_page(page, house)
    page.route("**/api/**", lambda route: route.abort())
    say(page, "路灯坏了")
    expect(page.get_by_text("会自动重发")).to_be_visible()
    page.unroute_all()
    page.reload()
    expect(page.locator(".message .text")).to_have_text(["路灯坏了", "答：路灯坏了"])
    assert house.engine.heard == ["路灯坏了"]


def test_a_lost_answer_is_asked_for_again_with_one_effect(page: Page, house: House) -> None:
    open_page(page, house)
    keys: list[str] = []

    def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.post_data_json["client_message_id"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/messages", lose_the_first_answer)
    page.route("**/events*", lambda route: route.abort())
    page.route("**/messages?after=*", lambda route: route.abort() if len(keys) < 2 else route.continue_())
    say(page, "路灯坏了")
    expect(page.locator(".message .text")).to_have_text(["路灯坏了", "答：路灯坏了"])
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert house.engine.heard == ["路灯坏了"]


def test_a_refused_message_can_be_changed(page: Page, house: House) -> None:
    open_page(page, house)
    problem = '{"status":422,"detail":"这条内容无法处理。","code":"bad_input"}'
    page.route(
        "**/messages", lambda route: route.fulfill(status=422, content_type="application/problem+json", body=problem)
    )
    say(page, "路灯坏了")
    expect(page.get_by_text("没有发出：这条内容无法处理。")).to_be_visible()
    page.get_by_role("button", name="修改").click()
    expect(page.get_by_label("您的问题或诉求")).to_have_value("路灯坏了")
    page.unroute_all()
    say(page, "路灯坏了三天")
    expect(page.locator(".message .text")).to_have_text(["路灯坏了三天", "答：路灯坏了三天"])


def test_a_conversation_that_the_server_forgot_begins_anew(page: Page, house: House) -> None:
    open_page(page, house)
    say(page, "第一句")
    expect(page.locator(".assistant .text")).to_have_count(1)
    page.evaluate(
        """() => { const key = Object.keys(localStorage).find((name) => name.includes("http"));
        const state = JSON.parse(localStorage[key]); state.conversation.token = "wrong";
        localStorage[key] = JSON.stringify(state); }"""
    )
    page.reload()
    expect(page.get_by_text("已为您重新开始")).to_be_visible()
    say(page, "第二句")
    expect(page.locator(".message .text")).to_have_text(["第二句", "答：第二句"])


def test_a_server_that_refuses_every_conversation_is_not_asked_for_ever(page: Page, house: House) -> None:
    open_page(page, house)
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=403, content_type="application/problem+json", body='{"detail":"不允许。"}')

    page.route("**/messages", refuse)
    page.route("**/events*", lambda route: route.abort())
    say(page, "路灯坏了")
    expect(page.get_by_text("没有发出：不允许。")).to_be_visible()
    assert len(asked) == 2
    expect(page.locator(".resident .text")).to_have_text("路灯坏了")


def test_starting_afresh_while_an_answer_is_awaited(page: Page, house: House) -> None:
    open_page(page, house)
    page.route("**/messages", lambda route: (page.wait_for_timeout(800), route.continue_()))
    say(page, "第一句")
    page.get_by_role("button", name="重新开始").click()
    page.get_by_role("button", name="清空", exact=True).click()
    say(page, "第二句")
    expect(page.locator(".message .text")).to_have_text(["第二句", "答：第二句"])


# --- pushes ---------------------------------------------------------------------------------------------------------


def test_an_agents_reply_arrives_by_itself(page: Page, house: House) -> None:
    open_page(page, house)
    say(page, "路灯坏了")
    expect(page.locator(".assistant .text")).to_have_count(1)
    house.push("我是座席小李。")
    expect(page.locator(".agent .text")).to_have_text("我是座席小李。")
    expect(page.locator(".agent .byline")).to_contain_text("座席")


def test_where_streams_do_not_pass_the_page_asks(page: Page, house: House) -> None:
    page.route("**/events*", lambda route: route.abort())
    open_page(page, house)
    say(page, "路灯坏了")
    expect(page.locator(".assistant .text")).to_have_count(1)
    house.push("我是座席小李。")
    expect(page.locator(".agent .text")).to_have_text("我是座席小李。")
    expect(page.locator(".message")).to_have_count(3)


# --- keyboard and reading -------------------------------------------------------------------------------------------


def test_enter_sends_but_not_while_a_word_is_composed(page: Page, house: House) -> None:
    open_page(page, house)
    box = page.get_by_label("您的问题或诉求")
    box.fill("路灯")
    box.evaluate(
        "box => box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))"
    )
    box.press("Shift+Enter")
    box.press_sequentially("坏了")
    expect(box).to_have_value("路灯\n坏了")
    assert page.locator(".message").count() == 0
    box.press("Enter")
    expect(page.locator(".resident .text")).to_have_text("路灯\n坏了")
    expect(page.locator(".assistant .text")).to_have_count(1)
    assert house.engine.heard == ["路灯\n坏了"]


def test_an_input_method_may_end_a_word_with_enter(page: Page, house: House) -> None:
    open_page(page, house)
    page.get_by_label("您的问题或诉求").focus()
    session = page.context.new_cdp_session(page)
    session.send("Input.imeSetComposition", {"text": "ludeng", "selectionStart": 6, "selectionEnd": 6})
    # While it composes, an input method gives the browser key code 229 for every key.
    session.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", "key": "Enter", "windowsVirtualKeyCode": 229})
    session.send("Input.insertText", {"text": "路灯"})
    expect(page.get_by_label("您的问题或诉求")).to_have_value("路灯")
    assert page.locator(".message").count() == 0


MEASURE = (Path(__file__).parent / "measure.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize(("elder", "font", "target"), [(False, 18, 44), (True, 22, 60)])
def test_everything_is_large_and_clear_enough(
    page: Page, house: House, width: int, elder: bool, font: int, target: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_page(page, house)
    ticket = {
        "number": "ZZ-20261122-0006",
        "state": "待派遣",
        "unit": "某某区城市管理和综合执法局",
        "due_at": "2026-12-01T10:00:00+00:00",
    }
    buttons = [
        {"title": title, "payload": title} for title in ("确认提交", "修改", "一个字数比较多的选项看它会不会撑破")
    ]
    house.engine.replies = lambda _: [
        EngineReply(text="请拨打 119。" + "字" * 60, citations=[CITATION], ticket=ticket, buttons=buttons)
    ]
    if elder:
        page.get_by_role("button", name="长辈版").click()
    say(page, "路灯坏了" * 12)
    page.locator("summary").click()
    expect(page.get_by_role("link", name="119")).to_have_attribute("href", "tel:119")
    page.get_by_role("button", name="重新开始").click()
    assert page.evaluate(f"({MEASURE})({font}, {target})") == []
    if elder:
        page.reload()
        expect(page.get_by_role("button", name="长辈版")).to_have_attribute("aria-pressed", "true")


def test_the_page_can_be_read_and_used_without_seeing_or_pointing(page: Page, house: House) -> None:
    open_page(page, house)
    log = page.get_by_role("log")
    expect(log).to_have_attribute("aria-live", "polite")
    expect(log).to_have_attribute("aria-busy", "false")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement.shadowRoot.activeElement).outlineStyle")
    assert outline == "solid"
    names = []
    for _ in range(12):
        names.append(page.evaluate("document.activeElement.shadowRoot?.activeElement?.textContent ?? ''"))
        page.keyboard.press("Tab")
    assert [
        name for name in names if name in ("长辈版", "重新开始", "办事咨询", "我要投诉", "查工单进度", "转人工")
    ] == ["长辈版", "重新开始", "办事咨询", "我要投诉", "查工单进度", "转人工"]


def test_print_and_calm_motion(page: Page, house: House) -> None:
    open_page(page, house)
    say(page, "路灯坏了")
    expect(page.locator(".assistant .text")).to_have_count(1)
    page.emulate_media(media="print", reduced_motion="reduce")
    expect(page.get_by_role("button", name="发送")).to_be_hidden()
    expect(page.locator(".assistant .text")).to_be_visible()
    assert page.locator(".assistant").evaluate("item => getComputedStyle(item).animationName") == "none"
