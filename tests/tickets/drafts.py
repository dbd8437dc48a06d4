"""Drafts and services for tests."""

from typing import Any

from assistant.tickets.model import TicketDraft

PHONE = "13812345678"


def draft(**changes: Any) -> TicketDraft:
    values: dict[str, Any] = {
        "request_type": "投诉",
        "category1": "环境保护",
        "category2": "环境污染",
        "title": "烧烤店油烟扰民",
        "description": "楼下烧烤店每天晚上油烟很大，孩子一直咳嗽。",
        "place": "金水区花园路85号",
        "event_time": "每天晚上",
        "phone": PHONE,
        "name": "王小明",
        "anonymous": False,
        "confidential": False,
        "urgency": "一般",
        "conversation_id": None,
        "channel": "web",
        "confidences": {"category1": 0.95, "category2": 0.9, "urgency": 0.9, "model": "nlu-test"},
    }
    return TicketDraft(**{**values, **changes})
