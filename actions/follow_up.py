"""What happens to a ticket after it was created: progress, reminder, withdrawal, dissatisfaction, correction."""

import re

import structlog

from actions import callback, feedback, reading
from actions.protocol import Catalogue, Reply, Turn
from actions.services import ActionServices
from actions.wording import say_state, say_time, say_unit
from assistant.errors import MinshengError
from assistant.tickets.model import TicketView

log = structlog.get_logger()
ACTIONS = Catalogue()

_LAST4 = re.compile(r"(?<![\d*])\d{4}(?!\d)")
_MAX_WRONG_LOOKUPS = 5
_SHOWN = 5
_TELLS_A_STORY_CHARS = 25
# Longer words say why.
_SAYS_ONLY_NO_CHARS = 10


async def ticket_meant(
    turn: Turn, services: ActionServices, reply: Reply, *, in_state: str | None = None
) -> TicketView | None:
    """The ticket a message is about; says so and returns None when there is none the resident may see.

    A number in the message comes first, then one of this conversation: in the state `in_state`, else the one talked
    about last, else the newest. A ticket of another conversation is shown only with the last four digits of its phone.
    A whole story about no ticket of ours ("催了多次没人管……") becomes a new request.
    """
    number = turn.heard.first("ticket_number")
    if number:
        return await _by_number(turn, services, reply, number.strip().upper())
    own = await services.tickets.find(conversation_id=turn.conversation_id, limit=_SHOWN)
    last = turn.slots.get("last_ticket")
    own.sort(key=lambda ticket: (ticket.state != in_state, ticket.number != last))
    ticket = next(iter(own), None)
    if ticket is None and turn.form == "ticket_form":
        reply.say("这件事还没有提交，提交以后就能查进度、催办了。")
    elif ticket is None and len(turn.text) >= _TELLS_A_STORY_CHARS and reading.says_what_happened(turn.text):
        reply.go_on_with("ticket_form")
    elif ticket is None:
        reply.say(
            "这个对话里还没有登记过工单。要查以前的，请把工单号和登记时手机号的后四位一起发给我；想反映新问题，直接说就行。",
            "我要反映问题",
            "转人工",
        )
    return ticket


async def _by_number(turn: Turn, services: ActionServices, reply: Reply, number: str) -> TicketView | None:
    ticket = await services.tickets.get(number)
    if ticket is not None and ticket.conversation_id == turn.conversation_id:
        return ticket
    failures = int(turn.slots.get("wrong_lookups") or 0)
    if failures >= _MAX_WRONG_LOOKUPS:
        reply.say("工单号和手机号对不上好几次了，为了保护隐私，请找人工核对身份后查询。", "转人工")
        return None
    last4 = _LAST4.search(turn.text.upper().replace(number, " "))
    if last4 is None:
        reply.say(f"为了保护隐私，请把工单号和登记时手机号的后四位一起发给我，比如“{number} 后四位5678”。", "转人工")
        return None
    # The same words whether the number or the phone is wrong: nobody may find out numbers by trying.
    if ticket is None or not await services.tickets.check_phone(number, last4[0]):
        reply.put(wrong_lookups=failures + 1)
        reply.say(
            "没有查到，工单号或手机号后四位可能不对，请再核对一下。匿名登记的工单只能在原来的对话里查。",
            "转人工",
        )
        return None
    return ticket


@ACTIONS.action("action_ticket_progress")
async def progress(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Where the ticket is, who has it, until when, and what was last answered."""
    ticket = await ticket_meant(turn, services, reply)
    if ticket is None:
        return
    lines = [f"工单{ticket.number}（{reading.shorten(ticket.title, 24)}）：", f"· 现在：{say_state(ticket.state)}"]
    lines.append(f"· 承办单位：{say_unit(ticket)}")
    closed = ticket.state in ("已结案", "已撤单", "待回访")
    if not closed:
        lines.append(f"· 办理时限：{say_time(ticket.due_at, services.city.zone)}前")
    if answer := next((entry.public_reply for entry in reversed(ticket.history) if entry.public_reply), None):
        lines.append(f"· 单位答复：{reading.shorten(answer, 300)}")
    if not turn.form:
        others = [
            other.number
            for other in await services.tickets.find(conversation_id=turn.conversation_id, limit=_SHOWN)
            if other.number != ticket.number
        ]
        if others and not turn.heard.first("ticket_number"):
            lines.append(f"您还有别的工单：{'、'.join(others)}，发工单号就能查。")
    buttons = ("转人工",) if closed or turn.form else ("补充情况", "催办")
    reply.say("\n".join(lines), *buttons, custom={"ticket": ticket.public()})


@ACTIONS.action("action_urge_ticket")
async def urge(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Remind the unit."""
    ticket = await ticket_meant(turn, services, reply)
    if ticket is None:
        return
    try:
        ticket = await services.tickets.urge(ticket.number, key=turn.key, actor="resident")
    except MinshengError as error:
        reply.say(error.detail, "转人工")
        return
    text = services.city.text("ticket_urged", number=ticket.number, unit=ticket.lead_unit)
    reply.say(f"让您久等了。{text}", "转人工", custom={"ticket": ticket.public()})


@ACTIONS.action("action_withdraw_ticket")
async def ask_withdrawal(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Ask back once, since a withdrawn ticket is not worked on any more; said again, it is meant."""
    if withdrawal_asked(turn):
        await withdraw(turn, services, reply)
        return
    ticket = await ticket_meant(turn, services, reply)
    if ticket is None:
        return
    reply.put(withdrawing=ticket.number)
    reply.say(
        f"确定要撤回工单{ticket.number}（{reading.shorten(ticket.title, 24)}）吗？撤回后单位就不再办理了。",
        "确认撤回",
        "不撤回",
    )


def withdrawal_asked(turn: Turn) -> bool:
    """Whether the resident was asked just now: a "yes" to something else an hour later withdraws nothing."""
    return bool(turn.slots.get("withdrawing")) and turn.ran_in_previous_turn("action_withdraw_ticket")


async def withdraw(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Withdraw the ticket the resident was asked about."""
    number = str(turn.slots["withdrawing"])
    reply.put(withdrawing=None)
    try:
        ticket = await services.tickets.withdraw(number, "居民要求撤回", key=turn.key, actor="resident")
    except MinshengError as error:
        reply.say(error.detail, "转人工")
        return
    reply.say(services.city.text("ticket_withdrawn", number=ticket.number), custom={"ticket": ticket.public()})


@ACTIONS.action("action_feedback_helpful")
async def helpful(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Thanks, kept at the entry of a policy answer; where a ticket waits for it, "解决了" closes that ticket."""
    await feedback.judge(turn, services, "helpful")
    own = await services.tickets.find(conversation_id=turn.conversation_id, limit=_SHOWN)
    waiting = next((ticket for ticket in own if ticket.state == "待回访"), None)
    if waiting is None or "解决" not in turn.text:
        reply.say("能帮上您就好，谢谢您的反馈。")
        return
    said = callback.satisfaction(turn.text)
    ticket = await services.tickets.record_callback(
        waiting.number, solved=True, satisfied=said, key=turn.key, actor="resident"
    )
    reply.say(services.city.text("ticket_closed", number=ticket.number), custom={"ticket": ticket.public()})
    if said is None and not turn.form:
        callback.ask(turn, reply, ticket.number, callback.SATISFIED)


@ACTIONS.action("action_ticket_dissatisfied")
async def dissatisfied(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Tell the unit, or have it handled again, and offer a person: this is not for a machine to weigh."""
    ticket = await ticket_meant(turn, services, reply, in_state="待回访")
    if ticket is None:
        return
    city = services.city
    reopened = ticket.state in ("待回访", "已结案")
    try:
        if reopened:
            ticket = await services.tickets.record_callback(
                ticket.number, solved=False, comment=turn.text, key=turn.key, actor="resident"
            )
            due = say_time(ticket.due_at, city.zone)
            done = city.text("ticket_reopened", number=ticket.number, unit=ticket.lead_unit, due=due)
        else:
            note = f"居民对办理情况不满意：{turn.text}"
            await services.tickets.add_supplement(ticket.number, note, key=turn.key, actor="resident")
            done = f"您的意见我已经写进工单{ticket.number}，会转给{ticket.lead_unit}。"
    except MinshengError as error:
        reply.say(f"很抱歉没能让您满意。{error.detail}需要的话我给您转人工。", "转人工")
        return
    reply.say(f"很抱歉没能让您满意。{done}要不要和人工座席说说？", "转人工", custom={"ticket": ticket.public()})
    if reopened and not turn.form and len(reading.trim(turn.text)) <= _SAYS_ONLY_NO_CHARS:
        callback.ask(turn, reply, ticket.number, callback.WHY)


@ACTIONS.action("action_correct_ticket")
async def correct(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """A correction after the ticket was created, outside a form."""
    own = await services.tickets.find(conversation_id=turn.conversation_id, limit=1)
    if not own:
        reply.say("好的。您想改的是哪件事？请把正确的情况说一遍，我来登记。", "转人工")
        return
    if reading.corrected_value(turn.text) is None:
        reply.say(f"工单{own[0].number}已经提交了，要更正的话，请直接说“应该是……”，我补充给承办单位。", "转人工")
        return
    await _tell_unit(turn, services, reply, own[0], f"更正：{turn.text}")


@ACTIONS.action("action_ticket_detail")
async def detail(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """A place, number or time that nobody asked for: it belongs to the latest ticket, if there is one."""
    own = await services.tickets.find(conversation_id=turn.conversation_id, limit=1)
    if await offer_answer(turn, services, reply):
        return
    if own:
        reply.say(f"这是要补充到工单{own[0].number}里吗，还是新的问题？", "补充情况", "我要反映问题")
    elif reading.says_what_happened(_without_details(turn)):
        reply.go_on_with("ticket_form")
    else:
        reply.say("收到。您想反映什么问题？请说说发生了什么事、在什么地方。", "转人工")


async def offer_answer(turn: Turn, services: ActionServices, reply: Reply) -> bool:
    """Where a unit waits for the resident's words, ask whether these are the answer; False where none waits."""
    own = await services.tickets.find(conversation_id=turn.conversation_id, limit=_SHOWN)
    ticket = next((ticket for ticket in own if ticket.state == "待补充"), None)
    if ticket is None:
        return False
    question = next((entry.note for entry in reversed(ticket.history) if entry.operation == "ask"), None)
    wanted = f"：“{reading.shorten(question, 80)}”" if question else ""
    reply.put(answering={"number": ticket.number, "turn": turn.number})
    reply.say(
        f"工单{ticket.number}正等您补充情况{wanted}。您刚才说的是补充给它的，还是一件新的事？",
        "补充情况",
        "我要反映问题",
    )
    return True


def answering(turn: Turn, *, turns_ago: int) -> bool:
    """Whether the resident was asked so, that many messages ago."""
    return (turn.slots.get("answering") or {}).get("turn") == turn.number - turns_ago


def _without_details(turn: Turn) -> str:
    """The message without the times, names and numbers in it: what is left tells what happened."""
    text = turn.text
    for kind in ("time", "name", "phone", "place"):
        for known in turn.heard.all(kind):
            text = text.replace(known, "")
    return text


@ACTIONS.action("action_keep_confidential")
async def keep_confidential(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """A wish for confidentiality outside a form."""
    own = await services.tickets.find(conversation_id=turn.conversation_id, limit=1)
    if not own:
        reply.say("您的姓名和电话只有办理人员能看到，不会告诉被反映的人；也可以匿名。请说说是什么事。")
        return
    await _tell_unit(turn, services, reply, own[0], "居民要求对其身份保密，请勿透露给被反映人。")


async def _tell_unit(turn: Turn, services: ActionServices, reply: Reply, ticket: TicketView, text: str) -> None:
    try:
        await services.tickets.add_supplement(ticket.number, text, key=turn.key, actor="resident")
    except MinshengError as error:
        reply.say(error.detail, "转人工")
        return
    reply.say(f"好的，已经补充到工单{ticket.number}，承办单位会看到。", custom={"ticket": ticket.public()})
