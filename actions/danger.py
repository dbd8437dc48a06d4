"""Acute danger: whom to call now, a ticket at once, and only then the place, if it was not said.

The slot `danger_unfiled` holds the dangers whose ticket could not be created: which turn told of it, its key and time,
the place as far as it is known. The next words bring the ticket.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from actions import places, reading, told_at_once
from actions.protocol import Catalogue, Reply, Turn
from actions.reading import NO_PLACE, UNKNOWN_PLACE
from actions.services import ActionServices
from actions.wording import say_created
from assistant.errors import MinshengError
from assistant.tickets.model import TicketDraft, TicketView

log = structlog.get_logger()
ACTIONS = Catalogue()

# A reply this much longer than the place tells more than the place.
_MORE_THAN_A_PLACE_CHARS = 6
_SAME_DANGER = timedelta(minutes=30)
_CLOSED = ("已结案", "已撤单", "待回访")
_AWAY = "工单系统这会儿没有响应，请一定先打上面的电话。我给您留着记录，也可以转人工。"
_DRAFT_IS_OPEN = "刚才那件事还没登记完，等您方便的时候可以继续。"
_LATE = frozenset(
    f"action_{name}"
    for name in (
        *("affirm", "deny", "cancel", "fallback", "city_question", "request_human"),
        *("urge_ticket", "ticket_progress", "ticket_detail"),
    )
)
"""Actions before which what could not be filed is tried again; the others do so themselves, or are about another
matter."""
_TAKEN_BACK = "好的，是误报就放心了，这件事不登记。要是又有危险，请马上打上面的电话，也马上告诉我。"
_FALSE_ALARM = re.compile(r"误报|虚惊|没(?:有)?(?:着火|起火|漏气|爆炸|危险)|(?:看|听|弄|搞|闻)错了")
_SAYS_MORE = ("cancel", "deny", "ticket_urge", "inform_contact", "inform_detail")
"""What is said with these goes into the ticket of the danger, too."""
_STILL_AWAY = "工单系统还是没有响应，请一定先打电话求助。您说的我都留着，也可以转人工。"

# The first that fits decides; a gas bottle on fire is a fire, and gas poisoning is told as gas.
_KINDS = (
    ("self_harm", r"自杀|轻生|不想活|活不下去|活着没|想死|寻短见|跳楼|割腕|自残|结束.{0,4}生命|自我了断"),
    ("fire", r"着火|起火|火灾|失火|着了火|燃烧|越烧|冒.{0,2}烟|爆炸|火势|烧起来|救火"),
    ("gas", r"煤气|燃气|天然气|液化气|瓦斯|一氧化碳|臭鸡蛋味"),
    ("poisoning", r"中毒|农药|误食|误服|喝了.{0,6}(?:药|毒)|上吐下泻"),
    ("lift", r"电梯|轿厢"),
    ("electric", r"漏电|触电|电线|电缆|高压线|带电|电着|电到|变压器|配电箱"),
    ("collapse", r"塌|倒了|要倒|坍|掉下来|坠落|脱落|裂缝|地陷|滑坡|泥石流|井盖"),
    ("violence", r"打人|打架|砍|持刀|拿刀|家暴|抢劫|绑架|杀|围殴|斗殴|打我|打死|殴打|威胁|跟踪|囚禁|猥亵|强奸|拐"),
)
KINDS = (*(name for name, _ in _KINDS), "other")
_PATTERNS = [(name, re.compile(pattern)) for name, pattern in _KINDS]


def kind_of(text: str) -> str:
    """Which danger a message is about: one of `KINDS`."""
    return next((name for name, pattern in _PATTERNS if pattern.search(text)), "other")


@ACTIONS.action("action_report_danger")
async def report(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Safety first, then the ticket, without a question. A second message about it goes into the same ticket."""
    reply.say(services.city.text(f"danger_{kind_of(turn.text)}"), "转人工")
    told = reading.place_in(turn.heard)
    drafted = None if told else _drafted_place(turn)
    place = told or drafted
    try:
        filed = await _file_unfiled(turn, services, reply, place, corrects=False)
        known = next((ticket for ticket in filed if _is_same(turn.text, ticket)), None)
        if known := known or await _known(turn, services):
            await services.tickets.add_supplement(known.number, turn.text, key=turn.key, actor="resident")
            place = place or turn.slots.get("danger_place") or (known.place if known.grid_path else None)
            reply.put(danger_ticket=known.number, danger_place=place, last_ticket=known.number)
            reply.say(f"您说的情况已经加到特急工单{known.number}里。")
            return
        ticket = await services.tickets.submit(await _draft(turn, services, place), key=turn.key, actor="resident")
        if turn.form == "danger_form" and (open_ticket := turn.slots.get("danger_ticket")):
            # What began as a gas leak burns: whoever works on the first ticket must know, and where.
            with contextlib.suppress(MinshengError):  # it may be closed by now
                await services.tickets.add_supplement(
                    str(open_ticket), turn.text, key=f"{turn.key}:earlier", actor="resident"
                )
    except Exception as error:
        log.error("danger_ticket_failed", error=type(error).__name__)
        reply.say(_AWAY, "转人工")
        this = {"turn": turn.number, "key": turn.key, "at": datetime.now(UTC).isoformat(), "place": place, "more": []}
        # No other ticket gets the place that is still to come.
        unfiled = [*(reply.slots_after(turn).get("danger_unfiled") or ()), this]
        reply.put(danger_unfiled=unfiled, danger_ticket=None, danger_place=place, last_ticket=None)
        return
    reply.put(danger_ticket=ticket.number, danger_place=place, last_ticket=ticket.number)
    reply.say(say_created(services.city, ticket), custom={"ticket": ticket.public()})
    if drafted:
        reply.say(f"地点先按您刚才说的“{reading.shorten(drafted, 40)}”登记，不对请马上告诉我。")


def _drafted_place(turn: Turn) -> str | None:
    """The place of the request that the danger interrupted: nobody in danger is asked for it again."""
    place = turn.slots.get("place")
    if not turn.slots.get("draft_id") or turn.slots.get("confirmed") or place in (None, NO_PLACE, UNKNOWN_PLACE):
        return None
    return str(place)


async def _known(turn: Turn, services: ActionServices) -> TicketView | None:
    """The ticket of the same danger, reported in this conversation a moment ago.

    A ticket with the very same words is none: it was made by this message, and its answer was lost.
    """
    earliest = datetime.now(UTC) - _SAME_DANGER
    for ticket in await services.tickets.find(conversation_id=turn.conversation_id, limit=5):
        same = _is_same(turn.text, ticket)
        if turn.form == "danger_form" and same and ticket.number == turn.slots.get("danger_ticket"):
            return ticket
        recent = ticket.urgency == "特急" and ticket.created_at >= earliest and ticket.state not in _CLOSED
        if recent and same and ticket.description != turn.text:
            return ticket
    return None


def _is_same(text: str, ticket: TicketView) -> bool:
    kind = kind_of(text)
    return kind in ("other", kind_of(ticket.description))


async def _draft(turn: Turn, services: ActionServices, place: str | None) -> TicketDraft:
    heard = turn.heard
    masked, name, description = reading.phone_in(heard), reading.own_name(heard), heard.text
    if reading.wants_anonymity(heard.text):
        description = reading.without_identity(heard.text, {name} if name else (), {masked} if masked else ())
        masked = name = None
    elif masked is None and turn.slots.get("contact") not in (None, reading.ANONYMOUS):
        masked = str(turn.slots["contact"])
    phone = (await services.requester_phone(turn.conversation_id, masked) or masked) if masked else None
    # What kind of danger it is decides, not a guess: a gas leak must reach the gas company.
    category = services.city.danger_category(kind_of(heard.text))
    confidences: dict[str, Any] = {k: v for k, v in heard.confidence.items() if v is not None}
    if category is not None:
        confidences |= {"category1": 1.0, "category2": 1.0, "rule": "danger"}
    level1 = category.level1 if category else heard.category1
    return TicketDraft(
        request_type="求助" if heard.request_type not in ("举报", "投诉") else heard.request_type,
        category1=level1,
        category2=category.level2 if category else heard.category2,
        title=reading.title_of(description),
        description=description,
        place=place,
        event_time=heard.first("time"),
        phone=phone,
        name=name,
        anonymous=phone is None,
        confidential=False,
        urgency="特急",
        conversation_id=turn.conversation_id,
        channel=await services.channel(turn.conversation_id),
        confidences={**confidences, "model": heard.model_version},
        other_matters=tuple(matter for matter in heard.matters if matter.category1 != level1),
    )


# --- what could not be filed ----------------------------------------------------------------------------------------


def _unfiled(turn: Turn) -> list[dict[str, Any]]:
    """The dangers of earlier turns that have no ticket yet, and are still of now."""
    earliest = (datetime.now(UTC) - _SAME_DANGER).isoformat()
    told = turn.slots.get("danger_unfiled") or ()
    return [danger for danger in told if danger["at"] >= earliest and danger["turn"] < turn.number]


async def _file_unfiled(
    turn: Turn, services: ActionServices, reply: Reply, place: str | None, *, corrects: bool
) -> list[TicketView]:
    """Create their tickets; raises whatever the ticket service does.

    `place`: what has come meanwhile, for those whose place is not known; `corrects`: for the others too.
    """
    filed: list[TicketView] = []
    for danger in _unfiled(turn):
        message = turn.told(danger["turn"])
        if not message.get("understanding"):
            continue
        told = replace(turn, message=await told_at_once.as_request(message, services))
        where = _where(danger, place, services, corrects=corrects)
        alike = (one for one in filed if _is_same(told.text, one) and not _is_elsewhere(where, one, services))
        ticket = next(alike, None)
        more = [danger["turn"]] if ticket and told.text != ticket.description else []
        if ticket is None:
            ticket = await _filed(told, services, danger["key"], where)
            filed.append(ticket)
        for number in (*more, *danger["more"]):
            text = str(turn.told(number).get("text"))
            key = f"{danger['key']}:{number}"
            await services.tickets.add_supplement(ticket.number, text, key=key, actor="resident")
    for ticket in filed:
        reply.say(say_created(services.city, ticket), custom={"ticket": ticket.public()})
    if _unfiled(turn):
        reply.put(danger_unfiled=None)
    if filed:
        reply.put(danger_ticket=filed[0].number, last_ticket=filed[0].number)
    return filed


async def _filed(told: Turn, services: ActionServices, key: str, place: str | None) -> TicketView:
    """The ticket of a danger; the one that was created although its answer was lost, if there is one."""
    draft = await _draft(told, services, place)
    earliest = datetime.now(UTC) - _SAME_DANGER
    for ticket in await services.tickets.find(conversation_id=told.conversation_id, limit=5):
        if ticket.urgency == "特急" and ticket.created_at >= earliest and ticket.description == draft.description:
            if place and place != ticket.place:
                text = f"地点：{place}"
                await services.tickets.add_supplement(ticket.number, text, key=f"{key}:place", actor="resident")
            return ticket
    return await services.tickets.submit(draft, key=key, actor="resident")


def _is_elsewhere(place: str | None, ticket: TicketView, services: ActionServices) -> bool:
    return bool(place and ticket.place) and places.is_elsewhere(str(place), str(ticket.place), services.city)


def _where(danger: Mapping[str, Any], place: str | None, services: ActionServices, *, corrects: bool) -> str | None:
    known: str | None = danger["place"]
    if place is None or (known and not corrects):
        return known
    return places.settled(known, place, services.city)


async def _try_again(
    turn: Turn,
    services: ActionServices,
    reply: Reply,
    place: str | None,
    *,
    corrects: bool = True,
    more: bool = True,
) -> TicketView | None:
    """The first ticket of `_file_unfiled`; None where the service is still away, which the resident is told.

    `more`: whether what was said now tells of the danger, and is to go into its ticket.
    """
    try:
        filed = await _file_unfiled(turn, services, reply, place, corrects=corrects)
        if filed and more:
            await services.tickets.add_supplement(filed[0].number, turn.text, key=turn.key, actor="resident")
        return next(iter(filed), None)
    except Exception as error:
        log.error("danger_ticket_failed", error=type(error).__name__)
        first, *others = (
            {**danger, "place": _where(danger, place, services, corrects=corrects)} for danger in _unfiled(turn)
        )
        if more:
            first["more"] = [*first["more"], turn.number]
        reply.put(danger_unfiled=[first, *others])
        reply.say(_STILL_AWAY, "转人工")
        return None


async def file_late(action: str, turn: Turn, services: ActionServices, reply: Reply) -> bool:
    """Before an action: create the tickets of dangers that have none yet, whatever was said; whether there were any.

    What the resident takes back as a false alarm gets no ticket.
    """
    if action not in _LATE or not _unfiled(turn):
        return False
    await _file_late(turn, services, reply)
    return True


async def _file_late(turn: Turn, services: ActionServices, reply: Reply) -> None:
    if _is_taken_back(turn):
        reply.put(danger_unfiled=None, danger_ticket=None, danger_place=None)
        reply.say(_TAKEN_BACK, "转人工")
    else:
        await _try_again(turn, services, reply, None, more=turn.intent in _SAYS_MORE)


def _is_taken_back(turn: Turn) -> bool:
    return turn.intent in ("cancel", "deny") and _FALSE_ALARM.search(turn.text) is not None


# --- the place ------------------------------------------------------------------------------------------------------


async def take_place_after(turn: Turn, services: ActionServices, reply: Reply) -> bool:
    """A place said right after a danger was answered ("不对请马上告诉我") goes into its ticket; False for others."""
    answered = ("action_report_danger", "action_close_danger")
    number = turn.slots.get("last_ticket")
    place = reading.place_in(turn.heard) or reading.place_from_reply(turn.text)
    if _unfiled(turn):
        return await _file_with_next_words(turn, services, reply, place)
    after = any(turn.ran_in_previous_turn(action) for action in answered)
    if turn.intent != "inform_place" or not number or not place or not after:
        return False
    try:
        ticket = await services.tickets.add_supplement(
            str(number), f"地点：{turn.text}", key=turn.key, actor="resident"
        )
    except MinshengError as error:
        reply.say(error.detail, "转人工")
        return True
    again = ("继续登记",) if _is_draft_open(turn) else ()
    reply.say(f"已经加到工单{number}，会马上转告。", *again, "转人工", custom={"ticket": ticket.public()})
    return True


async def _file_with_next_words(turn: Turn, services: ActionServices, reply: Reply, place: str | None) -> bool:
    """Whether these words are about the danger and no request of their own; its ticket is created in any case."""
    at_once = _unfiled(turn)[-1]["turn"] == turn.number - 1
    tells = reading.may_tell_a_matter(reading.beside(turn.heard, told_at_once.DETAILS))
    about_it = turn.intent == "inform_place" and place is not None and (at_once or not tells)
    where = place if about_it or at_once else None
    await _try_again(turn, services, reply, where, corrects=about_it, more=about_it and tells)
    reply.put(danger_ticket=None)
    if about_it and _is_draft_open(turn):
        reply.say(_DRAFT_IS_OPEN, "继续登记")
    return about_it


@ACTIONS.action("validate_danger_form")
async def fill(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Take the place from the reply; hardly anything is refused, time matters more."""
    if turn.is_new_message:
        await _take(turn, services, reply)
        if not reply.events:
            return
    elif turn.form_stays_silent:
        return
    if reply.slots_after(turn).get("danger_place") is None and not reply.responses:
        reply.say(services.city.text("danger_followup"), "转人工")


async def _take(turn: Turn, services: ActionServices, reply: Reply) -> None:
    if turn.intent in ("cancel", "request_human", "report_danger", "ask_policy"):
        return
    place = reading.place_from_reply(turn.text) or reading.place_in(turn.heard)
    if place is None and (turn.intent == "deny" or reading.does_not_know(turn.text)):
        if turn.times_asked("danger_place") < 2:
            reply.say("大概位置也行：哪个区、哪条路、附近有什么。", "转人工")
            reply.put(danger_place=None)
            return
        place = UNKNOWN_PLACE
    if place is None and turn.times_asked("danger_place") > 1:
        place = reading.place_as_last_resort(turn.text)
    if place:
        reply.put(danger_place=place)
    elif turn.intent in ("affirm", "inform_detail", "inform_contact", "file_request", "inform_place"):
        number = turn.slots.get("danger_ticket")
        if _unfiled(turn):
            await _try_again(turn, services, reply, None, more=turn.intent != "affirm")
            reply.say(services.city.text("danger_followup"), "转人工")
        elif number and turn.intent != "affirm":
            await services.tickets.add_supplement(str(number), turn.text, key=turn.key, actor="resident")
        reply.put(danger_place=None)


@ACTIONS.action("action_close_danger")
async def close(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Add the place to the ticket, and come back to a draft that the danger interrupted."""
    number, place = turn.slots.get("danger_ticket"), turn.slots.get("danger_place")
    if _unfiled(turn) and _is_taken_back(turn):
        await _file_late(turn, services, reply)
    elif _unfiled(turn) and turn.intent != "report_danger":
        where = str(place) if place and place != UNKNOWN_PLACE else None
        more = len(turn.text) > len(where) + _MORE_THAN_A_PLACE_CHARS if where else turn.intent in _SAYS_MORE
        if await _try_again(turn, services, reply, where, more=more):
            reply.say("请先保证自己安全，情况有变化随时告诉我。", "转人工")
    # In the turn that opened the ticket the place went with it.
    elif number and place and place != UNKNOWN_PLACE and turn.intent != "report_danger":
        told = f"地点：{place}"
        if len(turn.text) > len(str(place)) + _MORE_THAN_A_PLACE_CHARS:
            told += f"\n原话：{turn.text}"
        ticket = await services.tickets.add_supplement(str(number), told, key=turn.key, actor="resident")
        reply.say(
            f"地点“{reading.shorten(str(place), 40)}”已经加到工单{number}。请先保证自己安全，情况有变化随时告诉我。",
            "转人工",
            custom={"ticket": ticket.public()},
        )
    elif turn.intent != "report_danger":
        reply.say("好的，工单照常处理。请先保证自己安全，知道具体位置了随时告诉我。", "转人工")
    reply.put(danger_ticket=None, danger_place=None)
    if _is_draft_open(turn):
        reply.say(_DRAFT_IS_OPEN, "继续登记")


def _is_draft_open(turn: Turn) -> bool:
    """Whether the danger interrupted a request that is not submitted yet."""
    slots = turn.slots
    return bool(slots.get("draft_id") and slots.get("description") and not slots.get("confirmed"))
