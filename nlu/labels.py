"""The names every head answers with. They are part of the contract with the dialogue; a model may not invent others."""

from __future__ import annotations

INTENTS: tuple[str, ...] = (
    "greet", "goodbye", "thank", "affirm", "deny", "cancel", "correct", "repeat",
    "bot_identity", "bot_capability", "chitchat", "request_human",
    "file_request", "inform_place", "inform_contact", "inform_detail", "anonymous", "confidential",
    "ticket_progress", "ticket_add", "ticket_withdraw", "ticket_urge", "ticket_dissatisfied",
    "ask_policy", "ask_service_hours", "ask_privacy", "ask_process", "ask_fee", "ask_attachment", "ask_accessibility",
    "report_danger", "insult", "complain_bot", "feedback_helpful", "out_of_scope",
)  # fmt: skip

MAY_BE_DANGER: tuple[str, ...] = (
    "report_danger", "file_request", "inform_detail", "correct", "ticket_add", "ticket_urge",
)  # fmt: skip
"""Intents of messages that tell what happens; only such teach the urgency head."""

FALLBACK = "nlu_fallback"
"""Stands first in the ranking when no intent is sure enough."""

REQUEST_TYPES: tuple[str, ...] = ("咨询", "求助", "投诉", "举报", "建议", "表扬")

CATEGORIES: tuple[str, ...] = (
    "城乡建设", "党务政务", "国土资源", "环境保护", "纪检监察", "交通运输", "经济管理", "科技与信息产业",
    "民政", "农村农业", "商贸旅游", "卫生计生", "政法", "教育文体", "劳动和社会保障",
)  # fmt: skip

URGENCIES: tuple[str, ...] = ("特急", "紧急", "一般")

DANGER, NO_DANGER = "危险", "无危险"
DANGERS: tuple[str, ...] = (DANGER, NO_DANGER)
"""Whether somebody's life is in danger now; decides about 特急."""

PLACE_PARTS: tuple[str, ...] = ("district", "street", "community", "road", "number", "estate", "building")

ENTITY_TYPES: tuple[str, ...] = (
    "place", *PLACE_PARTS, "time", "phone", "id_card", "name", "plate", "ticket_number", "company",
)  # fmt: skip
