"""An agent files a ticket out of a conversation: what is said already stands in the form."""

import pytest
from playwright.sync_api import expect

from assistant.db.models import Message
from assistant.staff.pages.new_ticket import heard_in
from tests.staff.conftest import Workbench
from tests.staff.serve import FILING, understood
from tests.staff.test_browser import Open, open_as, picture, rows

__all__ = ["open_as"]


def message(number: int, sender: str, text: str, understanding: object = None, ticket: object = None) -> Message:
    return Message(id=number, sender=sender, text=text, understanding=understanding, ticket=ticket)


def test_what_a_transcript_tells() -> None:
    told = understood(
        "file_request",
        request_type="投诉",
        category={"level1": "环境保护", "level2": "环境污染"},
        entities=[{"type": "place", "text": "花园路85号", "start": 0, "end": 6}, {"type": "time", "text": "每晚"}],
    )
    heard = heard_in(
        [
            message(1, "resident", "旧的事", told),
            message(2, "assistant", "登记好了", ticket={"number": "ZZ1"}),
            message(3, "resident", "您好", understood("greet")),
            message(4, "resident", "花园路85号每晚油烟大", told),
            message(5, "resident", "电话138****5678", understood("inform_contact")),
        ]
    )
    assert heard.description == "花园路85号每晚油烟大"
    assert (heard.request_type, heard.category1, heard.category2) == ("投诉", "环境保护", "环境污染")
    assert (heard.place, heard.time, heard.phone) == ("花园路85号", "每晚", "138****5678")


def test_an_empty_transcript_tells_nothing() -> None:
    heard = heard_in([message(1, "resident", "转人工", understood("request_human"))])
    assert (heard.description, heard.category1, heard.place) == ("", None, "")


@pytest.mark.browser
def test_an_agent_files_a_ticket_with_what_the_category_needs(open_as: Open, workbench: Workbench) -> None:
    page = open_as("agent")
    page.goto(f"/staff/conversations/{FILING}")
    page.get_by_role("button", name="接待").click()
    page.get_by_role("button", name="登记工单").click()
    form = page.get_by_role("dialog")
    expect(form.get_by_label("类别（可输入文字查找）")).to_have_value("劳动和社会保障/工资福利")
    expect(form.get_by_label("地点")).to_have_value("中原区郑上路")
    expect(form.get_by_label("欠薪金额")).to_have_value("4万多块")
    expect(form.get_by_label("涉及人数（知道就填）")).to_have_value("8个人")
    expect(form.get_by_text("欠的是哪几个月、多长时间的工资？")).to_be_visible()
    labels = form.locator(".elements label").all_inner_texts()
    assert [label.split("\n")[0].removesuffix("（知道就填）") for label in labels][:4] == [
        "单位", "欠薪时段", "欠薪金额", "涉及人数",
    ]  # fmt: skip
    picture(page, "agent-new-ticket")
    form.get_by_label("欠薪时段").fill("3月到6月")
    form.get_by_role("button", name="提交工单").click()
    expect(page.get_by_text("没有找到这个遮盖号码的原号")).to_be_visible()
    form.get_by_label("电话").fill("13812345678")
    form.get_by_role("button", name="提交工单").click()
    expect(page.get_by_text("已登记，工单号")).to_be_visible()
    expect(form).to_have_count(0)

    dispatcher = open_as("dispatcher")
    dispatcher.goto(f"/staff/tickets/{page.locator('.mini-ticket .mono').first.inner_text()}")
    expect(dispatcher.locator(".facts").filter(has_text="欠薪时段")).to_contain_text("3月到6月")
    ((number, elements, lead),) = rows(
        workbench, "SELECT number, elements, lead_unit FROM tickets WHERE conversation_id = ?", FILING
    )
    assert '"3' in elements and "wages_period" in elements and "people" in elements
    ((told,),) = rows(workbench, "SELECT text FROM messages WHERE conversation_id = ? AND sender = 'agent'", FILING)
    assert number in told and lead in told
    assert rows(workbench, "SELECT event FROM audit WHERE object = ?", number) == [("ticket.submit",)]
