"""How the assistant says numbers, times and states to a resident."""

from datetime import datetime, tzinfo

from assistant.city import City
from assistant.tickets.model import TicketView

_WEEKDAYS = "一二三四五六日"
_STATES = {
    "待受理": "已经收到，正在受理",
    "待补充": "等您补充一些情况",
    "待派遣": "正在确定由哪个单位办理",
    "已派遣": "已经派给承办单位，等待签收",
    "待处置": "承办单位已签收，即将处理",
    "处置中": "承办单位正在处理",
    "已处置": "承办单位已经处理完",
    "待回访": "承办单位已经办结，等待回访",
    "待结案": "正在办理结案",
    "待督办": "正在督办",
    "已结案": "已经结案",
    "退单": "原承办单位退回，正在重新分派",
    "已撤单": "已按您的要求撤回",
    "已并案": "和别人反映的同一件事一起办理",
}


def say_time(moment: datetime, zone: tzinfo) -> str:
    """`11月29日（周六）18:00`, on the city's clock."""
    local = moment.astimezone(zone)
    return f"{local.month}月{local.day}日（周{_WEEKDAYS[local.weekday()]}）{local:%H:%M}"


def say_state(state: str) -> str:
    return _STATES.get(state, state)


def say_unit(ticket: TicketView) -> str:
    return f"{ticket.lead_unit}（工作人员正在核对）" if ticket.routing.review else ticket.lead_unit


def say_state_of_unit(state: str, unit: str) -> str:
    """Who is at it, to somebody who reports the same."""
    if state in ("已派遣", "待补充", "处置中"):
        return f"{unit}正在处理"
    return "正在确定由哪个单位办理" if state in ("待受理", "待派遣", "退单") else f"由{unit}处理"


def say_created(city: City, ticket: TicketView) -> str:
    """What a resident is told when a ticket was made: number, unit, deadline."""
    if ticket.urgency == "特急":
        key = "ticket_created_danger"
    else:
        key = "ticket_created_review" if ticket.routing.review else "ticket_created"
    due = say_time(ticket.due_at, city.zone)
    text = city.text(key, number=ticket.number, unit=ticket.lead_unit, due=due)
    if ticket.anonymous and ticket.urgency != "特急":
        text += "\n" + city.text("ticket_created_anonymous", number=ticket.number)
    return text
