import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from actions import hearing
from actions.buttons import BUTTONS
from actions.protocol import Reply
from nlu.extend import CITY_QUESTION
from nlu.labels import INTENTS
from nlu.runtime import Label
from tests.dialogue.fakes import understood

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("text", "intent"), BUTTONS.items())
def test_a_button_is_never_a_matter_of_probability(text: str, intent: str) -> None:
    assert hearing.intent_of(understood(f" {text}。", "chitchat")) == (intent, 1.0)
    assert intent in INTENTS


def test_only_the_whole_text_is_a_button() -> None:
    assert hearing.intent_of(understood("取消养老金认证怎么办", "ask_policy"))[0] == "ask_policy"


def test_every_button_of_the_domain_is_understood() -> None:
    for variants in yaml.safe_load((ROOT / "domain.yml").read_text())["responses"].values():
        for button in (button for variant in variants for button in variant.get("buttons", [])):
            assert button["payload"] in BUTTONS and button["title"] == button["payload"]


def test_a_button_that_would_not_be_understood_cannot_be_shown() -> None:
    with pytest.raises(ValueError, match="不存在的按钮"):
        Reply().say("请选择", "转人工", "不存在的按钮")


@pytest.mark.parametrize("intent", ["ask_policy", "chitchat", "nlu_fallback", "insult", "inform_place"])
def test_a_letter_is_a_request(intent: str) -> None:
    letter = "尊敬的领导，我们村的路修了一半就停了。" * 10
    assert hearing.intent_of(understood(letter, intent))[0] == "file_request"


@pytest.mark.parametrize("intent", ["report_danger", "correct", "ticket_dissatisfied"])
def test_a_letter_may_also_be_these(intent: str) -> None:
    assert hearing.intent_of(understood("长" * 200, intent))[0] == intent


def test_the_parse_result_is_small_and_json() -> None:
    result = hearing.parse_result(understood("楼下噪音大", "file_request", others=INTENTS))
    assert len(json.dumps(result, ensure_ascii=False)) < 1000
    assert result["intent_ranking"][0]["name"] == "file_request"
    assert len(result["intent_ranking"]) == 4


@pytest.mark.parametrize("intent", ["ask_service_hours", "ask_fee", "complain_bot"])
def test_a_weak_reading_about_the_hotline_itself_is_looked_up(intent: str) -> None:
    asked = understood("网上智能问诊与人工服务将对哪些问题重点回复？", intent, request_type="咨询")
    weak = replace(asked, intent=Label(intent, 0.4))
    assert hearing.intent_of(weak)[0] == "ask_policy"
    assert hearing.intent_of(asked)[0] == intent
    assert hearing.intent_of(replace(weak, text="你老是答非所问"))[0] == intent


@pytest.mark.parametrize("text", ["请帮我登记成工单", "登记工单吧", "麻烦你给我转工单"])
def test_who_wants_a_ticket_gets_the_form(text: str) -> None:
    assert hearing.intent_of(understood(text, "ticket_urge"))[0] == "file_request"


@pytest.mark.parametrize(
    ("text", "request_type", "intent"),
    [
        ("鹤壁市购买口罩的市民有何注意事项？", "咨询", "ask_policy"),
        ("江西对哪些企业放宽裁员率", "咨询", "ask_policy"),
        ("这个路灯什么时候能修好？三个月了", "投诉", "file_request"),
        ("天安门在哪", "咨询", "ask_policy"),
        ("楼下噪音大", "咨询", "file_request"),
    ],
)
def test_what_is_only_asked_about_is_looked_up(text: str, request_type: str, intent: str) -> None:
    assert hearing.intent_of(understood(text, "file_request", request_type=request_type))[0] == intent


def test_what_staff_added_stands_behind_one_intent_of_the_dialogue() -> None:
    result = hearing.parse_result(understood("无人机要登记吗", "无人机登记"))
    assert result["intent"]["name"] == CITY_QUESTION
    assert result["understanding"]["intent"] == "无人机登记"
    assert hearing.parse_result(understood("你好", "greet"))["intent"]["name"] == "greet"
