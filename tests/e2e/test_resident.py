"""A resident's day with the whole real application: HTTP, Rasa, the language model, knowledge base, tickets, desk."""

import json
import re
import time
from itertools import islice

import httpx
import pytest

from assistant.dispatch.destinations.open311_message import reference
from tests.application import AppServer, Resident

pytestmark = pytest.mark.engine

COMPLAINT = "金水区花园路85号楼下烧烤店每天晚上油烟很大,我家孩子一直咳嗽"
NUMBER = re.compile(r"ZZ[0-9A-Z-]+")


def file_ticket(resident: Resident, complaint: str = COMPLAINT, phone: str = "13812345678") -> dict[str, str]:
    """File the complaint to the end and return the public ticket."""
    assert "电话" in resident.hear(complaint)
    summary = resident.hear(f"我叫王芳，电话{phone}")
    if "一起跟进" in summary:  # another test has reported the same
        summary = resident.hear("不是同一件事")
    assert "138****5678" in summary or phone not in summary
    answer = resident.say("确认提交")
    [ticket] = [m["ticket"] for m in answer["messages"] if m["ticket"]]
    return dict(ticket)


def desk_requests(server: AppServer, number: str) -> list[dict[str, object]]:
    """What the dispatch desk holds of one ticket."""
    found = httpx.get(f"{server.base_url}/desk/open311/v2/requests.json", params={"page_size": 500}, timeout=30).json()
    mark = reference(f"{number}:create:1")  # the desk's public answers hold no ticket number
    return [r for r in found if mark in r["description"]]


def test_a_policy_question_is_answered_with_its_source(app_server: AppServer) -> None:
    answer = app_server.resident().say("离职以后公积金怎么提取？")
    citations = [c for m in answer["messages"] for c in m["citations"]]
    assert citations, answer
    assert "公积金" in citations[0]["title"]
    assert citations[0]["issuer"] and citations[0]["valid_from"]
    assert set(citations[0]) == {"document", "article", "title", "issuer", "valid_from", "valid_to"}


def test_what_the_knowledge_base_does_not_hold_is_said_and_a_person_offered(app_server: AppServer) -> None:
    answer = app_server.resident().say("怎么报名参加南极科考队？")
    assert all(not m["citations"] for m in answer["messages"])
    assert "人工" in json.dumps(answer, ensure_ascii=False)


def test_a_complaint_becomes_one_ticket_that_reaches_the_desk_once(app_server: AppServer) -> None:
    resident = app_server.resident()
    first = resident.hear(COMPLAINT)
    assert "哪里" not in first and "地址" not in first, "the place was said already"
    summary = resident.hear("我叫王芳，电话13812345678")
    if "一起跟进" in summary:  # another test has reported the same
        summary = resident.hear("不是同一件事")
    for part in ("花园路85号", "每天晚上", "138****5678"):
        assert part in summary
    assert "13812345678" not in summary
    answer = resident.say("确认提交")
    [ticket] = [m["ticket"] for m in answer["messages"] if m["ticket"]]
    assert ticket["unit"] and ticket["due_at"] and NUMBER.fullmatch(ticket["number"])
    again = resident.say("确认提交")
    assert all(not m["ticket"] or m["ticket"]["number"] == ticket["number"] for m in again["messages"])

    deadline = time.monotonic() + 30
    while not desk_requests(app_server, ticket["number"]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert len(desk_requests(app_server, ticket["number"])) == 1
    assert "13812345678" not in json.dumps(desk_requests(app_server, ticket["number"]))

    url = f"{app_server.base_url}/api/v1/tickets/{ticket['number']}"
    owner = httpx.get(url, headers=resident.headers, timeout=30)
    assert owner.status_code == 200 and owner.json()["category"]["level1"] in ("环境保护", "城乡建设")
    assert httpx.get(url, headers={"X-Phone-Last4": "5678"}, timeout=30).status_code == 200
    assert httpx.get(url, headers={"X-Phone-Last4": "0000"}, timeout=30).status_code == 404
    assert httpx.get(url, headers=app_server.resident().headers, timeout=30).status_code == 404
    assert httpx.get(url, timeout=30).status_code == 401


def test_only_what_is_missing_is_asked_and_anonymous_is_possible(app_server: AppServer) -> None:
    resident = app_server.resident()
    asked_place = resident.hear("我们小区电梯坏了三天没人修，老人下不了楼")
    assert "哪" in asked_place or "地址" in asked_place
    asked_contact = resident.hear("二七区大学路40号院3号楼")
    assert "电话" in asked_contact
    summary = resident.hear("匿名")
    assert "大学路40号院" in summary and "匿名" in summary
    answer = resident.say("确认提交")
    assert [m for m in answer["messages"] if m["ticket"]]


def test_progress_supplement_and_withdrawal(app_server: AppServer) -> None:
    resident = app_server.resident()
    number = file_ticket(resident)["number"]
    assert number in resident.hear("我的工单处理到哪一步了")
    assert "补充" in resident.hear("补充一下，凌晨两点还在烤，烟是从后窗飘进来的")
    said = resident.hear("我要撤销工单")
    if "确认" in said or "确定" in said:
        said = resident.hear("确认撤销")
    assert "撤" in said
    state = httpx.get(f"{app_server.base_url}/api/v1/tickets/{number}", headers=resident.headers, timeout=30).json()[
        "state"
    ]
    assert state == "已撤单"


def test_manners_small_talk_and_the_rest_of_the_world(app_server: AppServer) -> None:
    resident = app_server.resident()
    for text, expected in (
        ("你好", "您好|你好"),
        ("你是机器人吗", "助手|机器人|智能"),
        ("谢谢你啊", "不客气|不用谢|应该"),
        ("给我放一首周杰伦的歌", "人工|政务|诉求|帮不|办不"),
    ):
        assert re.search(expected, resident.hear(text)), text


def test_a_person_is_called(app_server: AppServer) -> None:
    answer = app_server.resident().say("转人工")
    assert answer["handover"]["state"] == "waiting"
    assert "人工" in answer["messages"][0]["text"] or "座席" in answer["messages"][0]["text"]


def test_danger_first_says_whom_to_call_and_opens_an_urgent_ticket(app_server: AppServer) -> None:
    answer = app_server.resident().say("中原区建设路12号3单元楼道里有很浓的煤气味")
    assert re.search("119|110|燃气", answer["messages"][0]["text"])
    assert [m for m in answer["messages"] if m["ticket"]], answer


@pytest.mark.parametrize(
    "text",
    ["😀😀😀", "/restart", '/inform{"place":"x"}', "／restart", "<script>alert(1)</script>", "路灯\x00坏\u200b了"],
)
def test_strange_input_gets_a_clear_answer_and_changes_nothing(app_server: AppServer, text: str) -> None:
    resident = app_server.resident()
    resident.hear("我们小区电梯坏了三天没人修，老人下不了楼")
    answer = resident.hear(text)
    assert answer and re.search("[\u4e00-\u9fff]", answer)
    # The form still waits for the place, and takes it.
    assert "电话" in resident.hear("二七区大学路40号院3号楼")


def test_bad_requests_get_problems_in_chinese(app_server: AppServer) -> None:
    resident = app_server.resident()
    url = f"{app_server.base_url}/api/v1/conversations/{resident.id}/messages"
    wrong = {"Authorization": "Bearer wrong"}
    cases = [
        (resident.post(""), 422),
        (resident.post("水" * 10_000), 422),
        (resident.post(5), 422),
        (httpx.post(url, content=b"{", headers=resident.headers | {"Content-Type": "application/json"}), 400),
        (httpx.post(url, json={"text": "好", "client_message_id": "1"}, headers=wrong), 401),
        (httpx.post(url.replace(resident.id, "nobody"), json={"text": "好", "client_message_id": "1"}), 401),
        (httpx.get(f"{app_server.base_url}/api/v1/nothing"), 404),
    ]
    for response, status in cases:
        assert response.status_code == status, response.text
        assert response.headers["content-type"].startswith("application/problem+json")
        assert re.search("[\u4e00-\u9fff]", response.json()["detail"])
    assert resident.messages() == []


def test_the_same_message_twice_has_one_effect(app_server: AppServer) -> None:
    resident = app_server.resident()
    first, second = resident.post(COMPLAINT, "same"), resident.post(COMPLAINT, "same")
    assert first.json() == second.json()
    assert len([m for m in resident.messages() if m["sender"] == "resident"]) == 1


def test_health_and_metrics_hold_no_words_of_residents(app_server: AppServer) -> None:
    app_server.resident().hear(COMPLAINT + "，电话13987654321")
    assert httpx.get(f"{app_server.base_url}/healthz").status_code == 200
    metrics = httpx.get(f"{app_server.base_url}/metrics").text
    assert "minsheng_turns_total" in metrics
    for private in ("13987654321", "139****4321", "花园路", "油烟"):
        assert private not in metrics and private not in app_server.log()


def test_events_are_streamed(app_server: AppServer) -> None:
    resident = app_server.resident()
    resident.hear("你好")
    url = f"{app_server.base_url}/api/v1/conversations/{resident.id}/events"
    with httpx.stream("GET", url, headers=resident.headers, timeout=30) as stream:
        data = [json.loads(line[5:]) for line in islice(_data_lines(stream), 2)]
    assert [item["sender"] for item in data] == ["resident", "assistant"]


def _data_lines(stream: httpx.Response):  # type: ignore[no-untyped-def]
    return (line for line in stream.iter_lines() if line.startswith("data:") and '"sender"' in line)
