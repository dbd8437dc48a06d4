"""The end of the ticket form: a confirmed draft becomes a ticket, or is dropped."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from actions import follow_up, several
from actions.draft import draft_of
from actions.protocol import Catalogue, Reply, Turn
from actions.services import ActionServices
from actions.ticket_form import FORM, REQUIRED
from actions.wording import say_created
from assistant.tickets.errors import IncompleteDraft, InvalidDraft, KeyReused

log = structlog.get_logger()
ACTIONS = Catalogue()


@ACTIONS.action("action_submit_ticket")
async def submit(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Create the ticket of a confirmed draft.

    Checks by itself that the draft is complete and confirmed: when a form's validation fails, Rasa goes on to this
    action all the same. The draft's id is the idempotency key, so a confirmation that is repeated makes no second
    ticket.
    """
    slots = turn.slots
    if follow_up.answering(turn, turns_ago=0):
        return  # the form gave way to a unit's question
    missing = [name for name in ("draft_id", *REQUIRED) if slots.get(name) in (None, "")]
    if missing:
        log.warning("submit_incomplete", missing=missing)
        if "draft_id" in missing or "description" in missing:
            reply.say("这件事我还没有记全，请再说一下发生了什么，我重新帮您登记。", "转人工")
        else:
            reply.go_on_with(FORM)
        return
    try:
        ticket = await services.tickets.submit(
            await draft_of(turn, slots, services), key=slots["draft_id"], actor="resident"
        )
    except KeyReused:
        # An earlier confirmation arrived, its answer was lost, and the resident changed the draft meanwhile.
        await _supplement_earlier(turn, services, reply)
        return
    except IncompleteDraft as error:
        log.warning("submit_refused", missing=list(error.missing))
        reply.put(confirmed=None, **{name: None for name in error.missing if name in REQUIRED})
        reply.say("还差一点信息。")
        reply.go_on_with(FORM)
        return
    except InvalidDraft as error:
        # In a conversation that is the time: everything else was chosen or checked before.
        log.warning("submit_refused", reason="invalid")
        reply.put(confirmed=None, event_time=None)
        reply.say(f"{error.detail}时间先不写，您可以在内容里补充。", "转人工")
        reply.go_on_with(FORM)
        return
    except Exception as error:
        log.error("submit_failed", error=type(error).__name__)
        reply.say(
            "系统刚才没能提交成功，您填的内容都还在。请稍等一会儿再点“确认提交”，或者找人工帮您。", "确认提交", "转人工"
        )
        return
    left = several.waiting(slots)
    _forget_draft(turn, reply, ticket.number, left)
    reply.say(say_created(services.city, ticket), "查工单进度", "补充情况", custom={"ticket": ticket.public()})
    several.offer(left, reply)


async def _supplement_earlier(turn: Turn, services: ActionServices, reply: Reply) -> None:
    ticket = next(iter(await services.tickets.find(conversation_id=turn.conversation_id, limit=1)), None)
    if ticket is None:
        reply.say("这件事好像已经提交过了，但我没找到工单号。我请人工帮您查一下吧。", "转人工")
        return
    slots = turn.slots
    text = f"更正：{slots['description']}（地点：{slots['place']}；时间：{slots.get('event_time') or '未填'}）"
    await services.tickets.add_supplement(ticket.number, text, key=turn.key, actor="resident")
    left = several.waiting(slots)
    _forget_draft(turn, reply, ticket.number, left)
    reply.say(
        f"这件事刚才已经提交成功，工单号是{ticket.number}；您改过的内容我补充进去了。",
        custom={"ticket": ticket.public()},
    )
    several.offer(left, reply)


@ACTIONS.action("action_cancel_ticket")
async def cancel(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Drop the draft."""
    last = turn.slots.get("last_ticket")
    _forget_draft(turn, reply, last, turn.slots.get("waiting_matters"))
    reply.say("好的，这次就不登记了，刚才填的内容不会提交。以后有需要随时找我。")
    if last and turn.intent == "ticket_withdraw":
        reply.say(f"如果您是想撤回之前的工单{last}，请点“撤回工单”。", "撤回工单")


def _forget_draft(
    turn: Turn, reply: Reply, last_ticket: str | None, waiting_matters: Sequence[Mapping[str, Any]] | None
) -> None:
    """Empty every slot but what outlives a draft; one event for all."""
    kept = {
        "last_ticket": last_ticket,
        "wrong_lookups": turn.slots.get("wrong_lookups"),
        "waiting_matters": waiting_matters,
        "danger_unfiled": turn.slots.get("danger_unfiled"),
    }
    reply.forget_all()
    reply.put(**{name: value for name, value in kept.items() if value})
