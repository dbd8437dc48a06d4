"""Chinese names of what models and tables call things, and times as people read them."""

from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from kb.documents import STATUS_NAMES

CITY_ZONE: Final = ZoneInfo("Asia/Shanghai")

INTENTS: Final = {
    "greet": "问候",
    "goodbye": "告别",
    "thank": "致谢",
    "affirm": "确认",
    "deny": "否认",
    "cancel": "取消",
    "correct": "更正",
    "repeat": "请求重复",
    "bot_identity": "问是不是机器人",
    "bot_capability": "问能做什么",
    "chitchat": "闲聊",
    "request_human": "要求转人工",
    "file_request": "提出诉求",
    "inform_place": "提供地点",
    "inform_contact": "提供联系方式",
    "inform_detail": "补充细节",
    "anonymous": "要求匿名",
    "confidential": "要求保密",
    "ticket_progress": "查询进度",
    "ticket_add": "补充工单",
    "ticket_withdraw": "撤回工单",
    "ticket_urge": "催办",
    "ticket_dissatisfied": "对办理不满意",
    "ask_policy": "咨询政策",
    "ask_service_hours": "问办公时间",
    "ask_privacy": "问隐私保护",
    "ask_process": "问办理流程",
    "ask_fee": "问费用",
    "ask_attachment": "问如何传附件",
    "ask_accessibility": "需要适老或无障碍帮助",
    "report_danger": "报告险情",
    "insult": "辱骂",
    "complain_bot": "抱怨助手",
    "feedback_helpful": "反馈有帮助",
    "out_of_scope": "超出服务范围",
    "nlu_fallback": "没有把握",
}

ENTITIES: Final = {
    "place": "地点",
    "district": "区县",
    "street": "街道",
    "community": "社区",
    "road": "道路",
    "number": "门牌号",
    "estate": "小区",
    "building": "楼栋",
    "time": "时间",
    "phone": "电话",
    "id_card": "身份证号",
    "name": "姓名",
    "plate": "车牌",
    "ticket_number": "工单号",
    "company": "单位",
}

# What the words that decided decided about (assistant/explaining.py).
JUDGED: Final = {"category": "分类", "urgency": "紧急程度"}

_DOCUMENT_TONES: Final = {
    "draft": "neutral",
    "published": "good",
    "suspended": "warn",
    "expired": "bad",
    "superseded": "neutral",
}
DOCUMENT_STATUS: Final = {status: (name, _DOCUMENT_TONES[status]) for status, name in STATUS_NAMES.items()}


def document_status(
    status: str,
    start: date | None,
    end: date | None,
    today: date | None = None,
    *,
    superseded_by: str | None = None,
) -> tuple[str, str]:
    """What a document is today, and its tone: a published one may have run out, or not have begun."""
    today = today or datetime.now(CITY_ZONE).date()
    if status == "published" and end is not None and end < today:
        return DOCUMENT_STATUS["superseded"] if superseded_by else ("已过期", "bad")
    if status == "published" and superseded_by:
        return "将被替代", "warn"
    if status == "published" and start is not None and start > today:
        return "尚未生效", "warn"
    return DOCUMENT_STATUS[status]


CHANNELS: Final = {
    "web": "网页",
    "telegram": "Telegram",
    "wechat": "微信",
    "wecom": "企业微信",
    "cli": "终端",
    "open311": "第三方接入",
}

SENDERS: Final = {"resident": "居民", "assistant": "智能助手", "agent": "座席", "system": "系统"}


def local_time(moment: datetime | None, *, moment_now: datetime | None = None) -> str:
    """`14:05` today, `11-21 14:05` this year, else with the year; city time."""
    if moment is None:
        return "—"
    local = moment.astimezone(CITY_ZONE)
    today = (moment_now or datetime.now(UTC)).astimezone(CITY_ZONE)
    if local.date() == today.date():
        return local.strftime("%H:%M")
    return local.strftime("%m-%d %H:%M" if local.year == today.year else "%Y-%m-%d %H:%M")


def duration(seconds: float) -> str:
    """`45 秒`, `12 分钟`, `3 小时 5 分`, `2 天 4 小时`; never negative."""
    seconds = max(0, int(seconds))
    if seconds < 60:
        return f"{seconds} 秒"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} 分钟"
    if hours < 24:
        return f"{hours} 小时 {minutes % 60} 分" if minutes % 60 else f"{hours} 小时"
    return f"{days} 天 {hours % 24} 小时" if hours % 24 else f"{days} 天"


def validity(valid_from: date | str | None, valid_to: date | str | None) -> str:
    """A document's validity as people read it."""
    if valid_from and valid_to:
        return f"{valid_from} 至 {valid_to}"
    if valid_from:
        return f"{valid_from} 起"
    return f"至 {valid_to}" if valid_to else "长期有效"


def percent(confidence: float) -> str:
    return f"{round(confidence * 100)}%"


def resident_name(conversation_id: str) -> str:
    """What a resident is called on screen: nobody's name, the end of the conversation's id."""
    return f"居民 {conversation_id[-4:].upper()}"
