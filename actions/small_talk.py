"""Answers whose words depend on what came before: yes, no, again, and what was not understood.

Small talk with fixed words is in `domain.yml`.
"""

from actions import feedback, follow_up, policy, several, ticket_submit
from actions.buttons import BUTTONS
from actions.protocol import Catalogue, Reply, Turn
from actions.services import ActionServices
from actions.ticket_form import FORM

ACTIONS = Catalogue()

# What the model nearly understood, as something a resident can tap.
_SUGGESTIONS = {
    "file_request": "我要反映问题",
    "ticket_progress": "查工单进度",
    "ticket_add": "补充情况",
    "ticket_urge": "催办",
    "ticket_withdraw": "撤回工单",
    "bot_capability": "你能做什么",
}
_ALWAYS_SUGGESTED = ("我要反映问题", "查工单进度")


@ACTIONS.action("action_greet")
async def greet(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """The city's greeting; in a form only a word, since its question follows."""
    if turn.form:
        reply.say("您好，我在。")
        return
    city = services.city
    reply.say(city.text("greeting", city=city.name, hotline=city.hotline), *_ALWAYS_SUGGESTED, "转人工")


@ACTIONS.action("action_goodbye")
async def goodbye(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Goodbye; a draft that would be lost is named, and the form asks its question again."""
    if turn.form == FORM:
        reply.say("您要走了吗？这件事还没有提交。")
    else:
        reply.say("再见，祝您顺心。有事随时找我。")


@ACTIONS.action("action_affirm")
async def affirm(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """A "yes" outside a form: to a withdrawal, to a draft that could not be submitted, or to nothing."""
    if follow_up.withdrawal_asked(turn):
        await follow_up.withdraw(turn, services, reply)
    elif turn.slots.get("draft_id") and turn.slots.get("confirmed"):
        await ticket_submit.submit(turn, services, reply)
    elif "提交" in turn.text and (last := turn.slots.get("last_ticket")):
        next_one = (several.NEXT,) if turn.slots.get("waiting_matters") else ()
        reply.say(f"您的诉求已经提交过了，工单号是{last}，不用再提交一次。", "查工单进度", *next_one)
    elif several.was_offered(turn):
        reply.go_on_with(FORM)
    else:
        reply.say("好的。还有什么可以帮您？")


@ACTIONS.action("action_deny")
async def deny(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """A "no" outside a form."""
    if follow_up.withdrawal_asked(turn):
        reply.put(withdrawing=None)
        reply.say("好的，工单继续办理。")
    elif several.was_offered(turn):
        several.decline(turn, reply)
    elif await feedback.judge_denial(turn, services):
        reply.say("谢谢您指出来，我记下了，会请编辑核对这条政策。要马上问清楚，可以找人工。", "转人工")
    else:
        reply.say("好的。要是我没说到点子上，您可以换个说法，或者找人工。", "转人工")


@ACTIONS.action("action_cancel")
async def cancel(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """ "算了" outside a form."""
    if follow_up.withdrawal_asked(turn):
        reply.put(withdrawing=None)
        reply.say("好的，工单继续办理。")
    elif several.was_offered(turn):
        several.decline(turn, reply)
    elif last := turn.slots.get("last_ticket"):
        reply.say(f"好的。要是想撤回工单{last}，请点“撤回工单”；否则它会照常办理。", "撤回工单")
    else:
        reply.say("好的，有需要随时找我。")


@ACTIONS.action("action_repeat")
async def repeat(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Say the last answer again. In a form, the form repeats its question by itself."""
    if turn.form:
        return
    last: list[dict[str, object]] = []
    seen_user = False
    for event in reversed(turn.events):
        if event.get("event") == "user":
            if seen_user:
                break
            seen_user = True
        elif event.get("event") == "bot" and seen_user:
            last.append(dict(event))
    if not last:
        reply.say("我还没说什么呢。您想反映问题、问政策，还是查工单？", *_ALWAYS_SUGGESTED)
    for event in reversed(last):
        data = event.get("data")
        buttons = data.get("buttons") if isinstance(data, dict) else None
        text = event.get("text")
        if isinstance(text, str) and text:
            reply.say(text, *(button["title"] for button in buttons or () if button["title"] in BUTTONS))


@ACTIONS.action("action_fallback")
async def fallback(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Not understood: first ask for other words, with suggestions; the second time in a row offer a person."""
    if not turn.form and policy.asks_on(turn):
        await policy.answer_policy(turn, services, reply)
        return
    if turn.ran_in_previous_turn("action_fallback"):
        reply.say("抱歉，我还是没明白您的意思。我可以帮您转人工座席，由他们来帮您。", "转人工")
        return
    if turn.form:
        reply.say("抱歉，这句我没听明白。")
        return
    if await follow_up.offer_answer(turn, services, reply):
        return
    near = [_SUGGESTIONS[name] for name in turn.heard.ranking if name in _SUGGESTIONS]
    buttons = list(dict.fromkeys([*near, *_ALWAYS_SUGGESTED]))[:3]
    reply.say(
        "抱歉，我没听明白。能换个说法吗？比如说说发生了什么事、在哪里；想问政策就直接问，例如“公积金怎么提取”。",
        *buttons,
        "转人工",
    )
