"""`minsheng replay` and `minsheng chat` as commands against the whole application."""

import json
from pathlib import Path

import pytest

from tests.application import AppServer

pytestmark = pytest.mark.engine

REQUESTS = (
    ("人行道地砖松动", "南阳路农业路口东北角的人行道地砖松动很久了，下雨天一踩一身水，老人容易摔倒。"),
    ("夜间施工扰民", "小区旁边的工地连续一周夜里十二点以后还在打桩，孩子要中考，希望管一管。"),
    ("公交车等太久", "B1路公交车晚高峰等了四十分钟才来一辆，建议增加班次。"),
    ("表扬社区工作人员", "社区的小刘帮我母亲代办了高龄补贴，跑了三趟，特别感谢她。"),
    ("屋里有煤气味", "刚进家门闻到很重的煤气味，不敢开灯，现在站在楼道里。"),
    ("举报饭店使用地沟油", "巷口的饭店半夜从后门收油，怀疑是地沟油，请保密。"),
)
QUESTIONS = ("办理居住证需要什么材料？", "家里养狗要办证吗？", "月球上的停车费怎么收？")


def write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return str(path)


def test_every_request_becomes_one_ticket_at_the_desk(app_server: AppServer, tmp_path: Path) -> None:
    file = write(tmp_path / "requests.jsonl", [{"title": title, "text": text} for title, text in REQUESTS])
    report = json.loads(app_server.command("replay", file, "--limit", "99", "--json"))
    assert report["ok"], report["not_well"]
    assert report["requests"]["tickets"] == report["requests"]["delivered"] == len(REQUESTS)
    assert (report["requests"]["double"], report["stuck"]) == (0, 0)


def test_every_question_is_answered_with_a_source_or_honestly_not(app_server: AppServer, tmp_path: Path) -> None:
    file = write(tmp_path / "questions.jsonl", [{"question": question} for question in QUESTIONS])
    report = json.loads(app_server.command("replay", file, "--json"))
    assert report["ok"], report["not_well"]
    assert report["questions"]["cited"] >= 2


def test_real_messages_become_tickets(app_server: AppServer, data_folder: Path) -> None:
    file = data_folder / "hotline" / "messages_labeled_raw.jsonl"
    report = json.loads(app_server.command("replay", str(file), "--limit", "20", "--json"))
    assert report["ok"], report["not_well"]
    assert report["requests"]["delivered"] == 20


def test_the_terminal_talks_to_the_same_assistant(app_server: AppServer) -> None:
    said = "惠济区江山路8号门口的一盏路灯坏了三天，晚上很黑\n匿名\n确认提交\n"
    printed = app_server.command("chat", "--url", app_server.base_url, stdin=said)
    assert "工单号" in printed
    assert "办结时限" in printed
