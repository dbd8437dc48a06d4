"""The ticket form: from what a resident says to a confirmed ticket.

Order of the questions: what happened, where, what the category needs (ticket_elements), whom to call back, correct so?
What a message already holds is never asked. The form is filled here and not by Rasa's slot mappings; a validation that
sets no slot makes Rasa turn to the rules, which is how a question in the middle of the form is answered.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from actions import danger, follow_up, places, reading, same_event, several, ticket_elements, told_at_once
from actions.buttons import BUTTONS
from actions.draft import draft_of
from actions.protocol import Catalogue, Heard, Reply, Turn
from actions.reading import ANONYMOUS, NO_PLACE, UNKNOWN_PLACE
from actions.services import ActionServices
from assistant.city import City
from assistant.privacy import mask_name
from nlu.labels import FALLBACK

ACTIONS = Catalogue()

FORM = "ticket_form"
REQUIRED = ("description", "place", "elements", "contact", "confirmed")
DETAILS = (
    "request_type",
    "category",
    "urgency",
    "event_time",
    "contact_name",
    "confidential",
    "confidence",
    "matters",
    "changing",
    "element_answers",
    "same_event",
)
CONTINUE, CONFIRM = "继续登记", "确认提交"

# What always leaves the form, whatever it asked for.
_ALWAYS_LEAVES = {"cancel", "ticket_withdraw", "request_human", "report_danger"}
# What belongs to the form; everything else is a matter of its own, answered by a rule before the form goes on.
_BELONGS = {
    "affirm",
    "deny",
    "correct",
    "file_request",
    "inform_place",
    "inform_contact",
    "inform_detail",
    "anonymous",
    "confidential",
    "ticket_add",
}
# Short replies often look like these to a model that does not know the question.
_WEAK = {"nlu_fallback", "chitchat", "out_of_scope", "greet", "bot_identity", "repeat", "feedback_helpful"}
# What may tell what happened although nothing says so; "你是机器人吗" never does.
_UNCLEAR = {"nlu_fallback", "chitchat", "out_of_scope"}
_MAY_BECOME_A_TICKET = {"ask_policy", FALLBACK, "out_of_scope", "ticket_urge", "ticket_dissatisfied"}
# Actions that found no ticket to do something with, and pass the message on as a new request.
_PASSED_ON = {
    "action_ticket_detail",
    "action_ticket_progress",
    "action_urge_ticket",
    "action_ticket_dissatisfied",
    "action_withdraw_ticket",
    "action_end_callback",
    "action_affirm",  # to the offer of a ticket for another matter of the same message
}
_DESCRIBES = {"file_request", "inform_detail", "ticket_add"}
_TELLS_MORE_CHARS = 16
_TELLS_A_LITTLE_CHARS = 3
_INTRODUCED_WITHIN = 3
_PLACE_CHARS = 40
_SURE = 0.7
# Below it the gazetteer knows only a part of the name (assistant/gazetteer.py, Place).
_SURE_PLACE = 0.8

_ABOUT_ANONYMITY = (
    "好的，那就匿名登记，工单里不会出现您的姓名和电话。"
    "只是这样办理单位没法给您回电话，请记下稍后给您的工单号，随时可以来问进度。"
)
_FIELD_NAMES = {"place": "地点", "event_time": "时间", "contact": "联系方式", "description": "内容"}


@ACTIONS.action("validate_ticket_form")
async def fill(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Take from the message what the form needs, and ask for what is missing.

    The question is asked here and not by Rasa, which saves a call in every turn.
    """
    if turn.is_new_message or (turn.came_after in _PASSED_ON and turn.asked is None):
        if await _gives_way(turn, services, reply):
            return
        # Before anything else: with a few words beside it, too, it is the place of the danger that was just told.
        if turn.asked is None and await danger.take_place_after(turn, services, reply):
            number = reply.slots_after(turn).get("last_ticket")
            reply.put(requested_slot=None, answering={"number": number, "turn": turn.number})
            return
        heard = await told_at_once.heard_as_request(turn, services)
        if heard.intent == told_at_once.DANGER and turn.intent != told_at_once.DANGER:
            await danger.report(heard, services, reply)
            reply.put(requested_slot=None, danger_ticket=None, danger_place=None)
            return
        if turn.asked != "place":
            turn = heard
        if turn.asked is None and several.wants_next(turn):
            await _start_next(turn, services, reply)
        else:
            await _take(turn, services, reply)
        if not reply.events:
            return
        ticket_elements.hear(turn, services, reply)
        _forget_who(turn, reply)
        same_event.reconsider(turn, reply)
    elif turn.form_stays_silent:
        return
    slots = reply.slots_after(turn)
    if turn.asked is not None:
        _say_what_it_means(turn, slots, reply)
    element = None
    if slots.get("description") is not None and slots.get("place") is not None:
        element = ticket_elements.settle(slots, services, reply)
        slots = reply.slots_after(turn)
    missing = next((name for name in REQUIRED if slots.get(name) is None), None)
    if missing == "confirmed":
        await _ask_confirmation(turn, slots, services, reply)
    elif missing == "elements" and element is not None:
        ticket_elements.ask(element, slots, reply)
    elif missing and not reply.asked:
        reply.utter(f"utter_{missing}_wanted")


async def _gives_way(turn: Turn, services: ActionServices, reply: Reply) -> bool:
    """Whether the first words may be the answer to what a unit asked, so that no form is opened for them yet."""
    if turn.asked is not None or not turn.is_new_message or reading.trim(turn.text) in BUTTONS:
        return False
    if not await follow_up.offer_answer(turn, services, reply):
        return False
    reply.put(requested_slot=None)
    return True


def _say_what_it_means(turn: Turn, slots: Mapping[str, Any], reply: Reply) -> None:
    """Before the next question: what anonymity costs, that another matter and a wish for confidentiality were heard."""
    if slots.get("contact") == ANONYMOUS and turn.slots.get("contact") != ANONYMOUS:
        reply.say(_ABOUT_ANONYMITY)
    if len(slots.get("waiting_matters") or ()) > len(turn.slots.get("waiting_matters") or ()):
        reply.say("您说的另一件事我也记下了，这张提交以后接着帮您登记。")
    if slots.get("confidential") and not turn.slots.get("confidential"):
        reply.say("好的，会对您的身份保密，不告诉被反映的人。")


async def _take(turn: Turn, services: ActionServices, reply: Reply) -> None:
    if turn.asked is None:
        _warn_of_danger(turn.heard, services, reply)
        await start(turn, services, reply)
    elif turn.asked == "elements":
        _take_element(turn, services, reply)
        _keep_district(turn, services, reply)
    elif turn.intent not in _ALWAYS_LEAVES or (turn.asked == "contact" and _refuses_number(turn)):
        if turn.asked in ("contact", "confirmed") and (
            corrected := ticket_elements.corrected(turn, services, unnamed=not _corrections(turn, services.city))
        ):
            changing = {"changing": None} if turn.slots.get("changing") else {}
            reply.put(**corrected, **_place_at_last(turn), **changing)
            return
        if turn.asked == "contact":
            ticket_elements.overhear(turn, services, reply)
        {
            "description": _take_description,
            "place": _take_place,
            "contact": _take_contact,
            "confirmed": _take_verdict,
        }[turn.asked](turn, services.city, reply)
        _keep_district(turn, services, reply)


def _keep_district(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """A corrected place that names no district lies in the one said before (应该是大学路42号院, after 二七区…)."""
    before, place = turn.slots.get("place"), reply.slots_after(turn).get("place")
    if not before or not place or place == before or place in (NO_PLACE, UNKNOWN_PLACE):
        return
    if reading.names_city_or_district(place):
        return
    district, found = services.city.resolve_place(before).district, services.city.resolve_place(place)
    if district and (found.district is None or found.confidence < _SURE_PLACE):
        reply.put(place=f"{district}{place}")


# --- the first message ---------------------------------------------------------------------------------------------


def _warn_of_danger(heard: Heard, services: ActionServices, reply: Reply) -> None:
    """Whom to call, where a request is not told as a danger but may be one."""
    if (
        heard.urgency == "特急"
        and heard.confidence.get("urgency", 0) >= _SURE
        and (kind := danger.kind_of(heard.text)) != "other"
    ):
        reply.say(services.city.text(f"danger_{kind}"), "转人工")


async def start(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Begin a draft with everything the first message says."""
    if turn.text == CONTINUE and (draft_id := turn.slots.get("draft_id")):
        reply.put(draft_id=draft_id)
        return
    heard = turn.heard
    if not reading.says_what_happened(heard.text) and (earlier := _earlier(turn)):
        heard = Heard.of(await told_at_once.as_request(earlier, services))
    elif before := _left_open(turn):
        heard = await asyncio.to_thread(_heard_together, before, heard.text, services)
    new: dict[str, Any] = {"draft_id": turn.key, **_introduced(turn), **_volunteered(heard)}
    if place := reading.place_in(several.about_main(heard)):
        new["place"] = place
    if _says_what_happened(heard):
        new |= _request(heard)
        if new["request_type"] == "咨询" and not place:
            new["place"] = NO_PLACE
    elif kind := reading.named_type(heard.text):
        new["request_type"] = kind
    reply.put(**_left_behind(turn, new), **new)
    if "matters" in new:
        reply.say(f"您说的{len(new['matters'])}件事我都记下了，咱们一件一件登记。")
    elif "description" in new:
        reply.say("您反映的情况我记下了，这就帮您登记。")


def _says_what_happened(heard: Heard) -> bool:
    told = heard.intent != "inform_place" and not reading.holds_only(heard, told_at_once.DETAILS)
    if heard.intent == "inform_contact":  # 免贵姓李，叫我老李就行
        told = told and reading.tells_beside_a_name(reading.beside(heard, told_at_once.DETAILS))
    return told and reading.says_what_happened(heard.text)


def _left_open(turn: Turn) -> str | None:
    """What the resident told a moment ago and was asked about: for the last ticket, or something new?"""
    if turn.intent != "file_request" or reading.trim(turn.text) in BUTTONS:
        return None
    before = next(iter(turn.previous_messages()), {})
    if not turn.ran_in_previous_turn("action_ticket_detail") or not before.get("understanding"):
        return None
    told = reading.beside(Heard.of(before), told_at_once.DETAILS)
    return str(before["text"]).strip() if reading.says_what_happened(told) else None


def _heard_together(before: str, now: str, services: ActionServices) -> Heard:
    read = services.reader.read(f"{before}，{now.strip()}")
    return Heard.of({"text": read.text, "intent": {"name": "file_request"}, "understanding": read.as_dict()})


def _introduced(turn: Turn) -> dict[str, Any]:
    """Name and number with which the resident began, or the wish for none, before they said what happened.

    What a form took was told to it: to the last draft, or to a ticket.
    """
    found: dict[str, Any] = {}
    for message, actions in turn.turns_since_draft()[:_INTRODUCED_WITHIN]:
        intent = (message.get("intent") or {}).get("name")
        in_form = any(action.endswith("_form") for action in actions)
        if in_form or intent not in ("greet", "inform_contact", "anonymous"):
            break
        told = _volunteered(Heard.of(message)) if message.get("understanding") else {}
        found = {name: value for name, value in told.items() if name in ("contact", "contact_name")} | found
    return found


def _forget_who(turn: Turn, reply: Reply) -> None:
    """Who wants to stay anonymous leaves neither name nor number: not in the draft, and not in what waits behind it."""
    slots = reply.slots_after(turn)
    if slots.get("contact") != ANONYMOUS:
        return
    earlier = [Heard.of(message) for message, _ in turn.turns_since_draft() if message.get("understanding")]
    heard = [turn.heard, *earlier]
    names = {name for name in (slots.get("contact_name"), *map(reading.own_name, heard)) if name}
    phones = {phone for phone in map(reading.phone_in, heard) if phone}

    def unnamed(matter: Mapping[str, Any]) -> dict[str, Any]:
        return {**matter, "text": reading.without_identity(str(matter["text"]), names, phones)}

    new: dict[str, Any] = {"contact_name": None}
    if description := slots.get("description"):
        new["description"] = reading.without_identity(str(description), names, phones)
    if matters := slots.get("matters"):
        new["matters"] = [unnamed(matter) for matter in matters]
    if waiting := slots.get("waiting_matters"):
        new["waiting_matters"] = several.without_contact([unnamed(matter) for matter in waiting], ANONYMOUS)
    reply.put(**{name: value for name, value in new.items() if value != slots.get(name)})


def _left_behind(turn: Turn, new: Mapping[str, Any]) -> dict[str, None]:
    """What an abandoned draft left behind does not belong to this one."""
    return {name: None for name in (*REQUIRED, *DETAILS) if turn.slots.get(name) is not None and name not in new}


async def _start_next(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Begin a draft with a matter that an earlier message told and no ticket is about; place and contact are kept."""
    matter, *rest = turn.slots["waiting_matters"]
    heard = several.heard_again(matter, await asyncio.to_thread(services.reader.read, matter["text"]))
    _warn_of_danger(heard, services, reply)
    kept = {name: matter[name] for name in several.KEPT if matter.get(name)}
    new: dict[str, Any] = {"draft_id": turn.key, **kept, **_introduced(turn), **_volunteered(heard), **_request(heard)}
    if place := reading.place_in(heard):
        new["place"] = place
    reply.put(**_left_behind(turn, new), **new, waiting_matters=rest or None)
    reply.say("好的，接着登记这一件。")


def _earlier(turn: Turn) -> Mapping[str, Any] | None:
    """The message that got no good answer, which the resident now wants registered ("登记工单")."""
    if reading.trim(turn.text) == several.NEXT:
        return None  # nothing waits any more; an old question is not what was meant
    if "登记" in turn.text:
        wanted, messages = _MAY_BECOME_A_TICKET, [message for message, _ in turn.turns_since_draft()[:6]]
    else:  # "我要反映问题", offered because the last message was not understood
        wanted = {FALLBACK, "inform_detail"}
        if follow_up.answering(turn, turns_ago=1):
            wanted |= _DESCRIBES | {"inform_place"}
        messages = [m for m in turn.previous_messages()[:1] if len(m.get("text") or "") >= 6]
    for message in messages:
        intent = (message.get("intent") or {}).get("name")
        if message.get("understanding") and intent in wanted:
            return message
    return None


def _request(heard: Heard) -> dict[str, Any]:
    """The slots that say what the request is."""
    confidence = {name: value for name, value in heard.confidence.items() if name != "intent" and value is not None}
    several_told = {"matters": several.as_slot(heard)} if heard.matters else {}
    return {
        **several_told,
        "description": heard.text.strip(),
        "request_type": heard.request_type,
        "category": f"{heard.category1}/{heard.category2}" if heard.category2 else heard.category1,
        "urgency": heard.urgency,
        "confidence": {**confidence, "candidates": heard.candidates, "model": heard.model_version},
    }


def _volunteered(heard: Heard) -> dict[str, Any]:
    """Who and when, where a message says it unasked."""
    found: dict[str, Any] = {}
    if heard.intent == "anonymous" or reading.wants_anonymity(heard.text):
        found["contact"] = ANONYMOUS
    elif phone := reading.phone_in(heard):
        found["contact"] = phone
    if name := reading.own_name(heard):
        found["contact_name"] = name
    if time := several.about_main(heard).first("time"):
        found["event_time"] = time
    if heard.intent == "confidential" or reading.wants_confidentiality(heard.text):
        found["confidential"] = True
    return found


# --- replies to the questions --------------------------------------------------------------------------------------


def _take_description(turn: Turn, city: City, reply: Reply) -> None:
    heard = turn.heard
    if turn.intent not in _BELONGS and not (turn.intent in _UNCLEAR and len(turn.text) >= 4):
        return
    found = _extras(turn, city)
    if reading.says_what_happened(heard.text) and turn.intent not in (
        "inform_place",
        "inform_contact",
        "affirm",
        "deny",
    ):
        found |= {"matters": None} if turn.slots.get("matters") else {}
        found |= {**_request(heard), "elements": None}
        if kind := turn.slots.get("request_type"):
            found["request_type"] = kind
        if turn.slots.get("place") is None and (place := reading.place_in(several.about_main(heard))):
            found["place"] = place
    elif turn.intent == "inform_place" and (place := reading.place_in(heard) or reading.place_from_reply(turn.text)):
        found["place"] = place
    reply.put(**(found or {"description": None}))


def _take_place(turn: Turn, city: City, reply: Reply) -> None:
    text, heard, intent = turn.text, turn.heard, turn.intent
    spoken = reading.place_from_reply(text) if intent in _BELONGS | _WEAK else None
    marked = reading.place_in(heard)
    place = spoken if spoken and len(spoken) <= _PLACE_CHARS else marked or spoken
    corrected: dict[str, Any] = {}
    if intent == "correct":
        corrected = _corrections(turn, city)
        said = reading.corrected_value(text) if reading.field_named(text) in (None, "place") else None
        said = reading.without_lead(said) if said else None
        place = corrected.pop("place", None) or said or (marked if not corrected else None)
    if not place and intent in _BELONGS | _WEAK:
        if reading.says_nowhere(text):
            place = NO_PLACE
        elif reading.does_not_know(text) or intent == "deny":
            if turn.times_asked("place") > 1:
                place = UNKNOWN_PLACE
            else:
                reply.ask("没关系，说个大概就行，比如哪个区、靠近哪条路或者哪个小区、商场。", "转人工")
                reply.put(place=None)
                return
        elif turn.times_asked("place") > 1 and intent == "affirm":
            place = UNKNOWN_PLACE
        elif turn.times_asked("place") > 1 and intent in _WEAK | {"inform_place"}:
            place = reading.place_as_last_resort(text)
    found = _extras(turn, city) | corrected
    if place and (intent in _BELONGS | _WEAK or (marked and not text.endswith(("?", "？", "吗")))):
        found["place"] = place
    if not found and intent in _BELONGS:
        reply.ask("请说说在什么地方，这样才能派给管那一片的单位。", "转人工")
        found = {"place": None}
    reply.put(**found)


def _take_element(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """The reply to a question of the category; what else it tells is taken too."""
    if turn.intent in _ALWAYS_LEAVES:
        return
    if turn.intent == "correct" and (corrected := _corrections(turn, services.city)):
        reply.put(**corrected)
        return
    if found := _extras(turn, services.city):
        reply.put(**found)
    if ticket_elements.take(turn, services, reply) or not ticket_elements.may_be_an_answer(turn):
        return
    if turn.intent == "nlu_fallback" and not ticket_elements.tells_something(turn.text):
        return
    ticket_elements.ask_again(turn, services, reply)


def _take_contact(turn: Turn, city: City, reply: Reply) -> None:
    text, intent = turn.text, turn.intent
    found = _extras(turn, city)
    if phone := reading.phone_from_reply(text):
        found["contact"] = phone
    elif reading.asks_why_a_number(text) and not reading.wants_anonymity(text) and not _refuses_number(turn):
        reply.ask("电话只用来给您回话、通知结果，会打码显示、加密保存。不想留就点“匿名”。", "匿名")
        found["contact"] = None
    elif reading.offers_another_number(text) and not reading.wants_anonymity(text):
        reply.ask("留家里人或者熟人的电话也行，请把号码发给我。不想留的话可以匿名。", "匿名")
        found["contact"] = None
    elif _refuses_number(turn):
        found["contact"] = ANONYMOUS
    elif "contact" not in found:
        if reading.has_digits(text, 5) and intent in _BELONGS | _WEAK:
            reply.say("这个号码好像不完整，手机号是11位，座机请带上区号。")
            found["contact"] = None
        elif intent == "inform_contact" and "contact_name" in found:
            reply.say("好的，记下了。")
        elif intent in _BELONGS and not found:
            found["contact"] = None
    if intent in ("correct", "inform_place", "file_request"):
        found |= _corrections(turn, city)
    reply.put(**found)


def _take_verdict(turn: Turn, city: City, reply: Reply) -> None:
    """The reply to the summary: yes, no, or a change; before it, to the offer to follow what others reported."""
    if same_event.is_offered(turn.slots) and same_event.take(turn, reply):
        return
    text, intent, changing = turn.text, turn.intent, turn.slots.get("changing")
    if changing and reading.trim(text) == CONFIRM:
        reply.put(confirmed=True, changing=None)
        return
    if changing == "event_time" and intent in _BELONGS | _WEAK:
        reply.put(
            event_time=turn.heard.first("time") or reading.corrected_value(text) or reading.trim(text), changing=None
        )
        return
    if intent not in _BELONGS and not changing:
        return
    found = _extras(turn, city) | _corrections(turn, city)
    if found:
        reply.put(**found, **({"changing": None} if changing else {}))
        return
    wanted = reading.field_named(text) if intent != "affirm" else None
    if intent == "affirm" and not changing:
        reply.put(confirmed=True)
    elif wanted == "event_time":
        reply.put(changing="event_time")
    elif wanted:
        # The form asks for an empty slot again.
        reply.put(**{wanted: None}, **({"changing": None} if changing else {}))
    elif intent in ("correct", "deny", "inform_detail") or (changing and intent in _BELONGS | _WEAK):
        reply.put(changing="which")
    elif intent in _BELONGS:
        reply.put(confirmed=None)


def _extras(turn: Turn, city: City) -> dict[str, Any]:
    """What a reply tells beyond the question: number, name, time, confidentiality, more about the matter."""
    if turn.intent not in _BELONGS | _WEAK:
        return {}
    if _is_another_matter(turn, city):
        return {"waiting_matters": several.with_another(turn.slots, turn.heard)}
    found = _volunteered(turn.heard)
    own = turn.intent in ("inform_contact", "correct") or reading.gives_own_number(turn.heard)
    gives_one = own or found.get("contact") == ANONYMOUS
    if turn.slots.get("contact") == ANONYMOUS and not gives_one:
        found.pop("contact", None)  # somebody else's number in what is told
    if turn.slots.get("event_time") is not None and turn.intent not in ("inform_detail", "correct"):
        found.pop("event_time", None)
    found |= _place_at_last(turn)
    described = turn.slots.get("description")
    if described and turn.intent in _DESCRIBES and _tells_more(turn):
        found["description"] = f"{described}\n补充：{turn.text}"
    return found


def _place_at_last(turn: Turn) -> dict[str, str]:
    """The place, told after the question was given up: "我想起来了，是花园路85号院"."""
    place = reading.place_in(turn.heard)
    missing = turn.intent == "file_request" and turn.slots.get("place") in (NO_PLACE, UNKNOWN_PLACE)
    return {"place": place} if missing and place else {}


def _is_another_matter(turn: Turn, city: City) -> bool:
    """Whether something is told of another place, while only number or yes are missing: it waits for its turn."""
    place, known = reading.place_in(turn.heard), turn.slots.get("place")
    told = turn.intent == "file_request" and turn.asked in ("contact", "confirmed") and turn.text not in BUTTONS
    if not told or not place or reading.is_only_a_house(place) or reading.field_named(turn.text):
        return False
    if known in (None, NO_PLACE, UNKNOWN_PLACE):
        return False
    return places.is_elsewhere(place, known, city) and _says_what_happened(turn.heard)


def _tells_more(turn: Turn) -> bool:
    """Whether a reply is to be added to the account; a few words are enough where they tell what was not asked for."""
    if len(turn.text) >= _TELLS_MORE_CHARS:
        return True
    beside = reading.beside(turn.heard, told_at_once.DETAILS)
    other = turn.asked in ("contact", "confirmed") or (turn.asked == "place" and turn.intent == "file_request")
    short = other and turn.text not in BUTTONS and len(beside) >= _TELLS_A_LITTLE_CHARS
    about_numbers = reading.offers_another_number(turn.text) or reading.asks_why_a_number(turn.text)
    return short and not about_numbers and reading.says_what_happened(beside) and reading.may_tell_a_matter(beside)


def _corrections(turn: Turn, city: City) -> dict[str, Any]:
    """The new values in "地址写错了，应该是…"; a place told without that word is new only where it says more."""
    text, known = turn.text, turn.slots.get("place")
    marked = reading.place_in(turn.heard)
    value, named = reading.corrected_value(text), reading.field_named(text)
    if turn.intent == "correct" and value and named == "event_time":
        return {"event_time": value}
    if turn.intent == "correct" and value and named == "place":
        place = marked if marked and marked in value and len(value) > _PLACE_CHARS else reading.without_lead(value)
        if not place:
            return {}
        return {"place": places.corrected(known, place, city)}
    if marked and turn.intent in ("correct", "deny"):
        return {"place": places.corrected(known, marked, city)}
    if marked and turn.intent in ("inform_place", "inform_detail", "affirm"):
        return {"place": places.settled(known, marked, city)}
    if turn.intent == "inform_place" and (spoken := reading.place_from_reply(text)):
        return {"place": places.settled(known, spoken, city)}
    return {}


def _refuses_number(turn: Turn) -> bool:
    if turn.intent == "cancel":
        return reading.refuses_contact(turn.text) and any(
            word in turn.text for word in ("电话", "号", "联系", "说", "留")
        )
    if turn.intent in _DESCRIBES and len(turn.text) > _TELLS_MORE_CHARS:
        return False  # "对方不给退钱" tells more about the matter
    if reading.wants_confidentiality(turn.text) and reading.field_named(turn.text) != "contact":
        return False  # "别跟楼上说是我说的"
    return turn.intent == "deny" or (turn.intent in _BELONGS | _WEAK and reading.refuses_contact(turn.text))


# --- the summary ---------------------------------------------------------------------------------------------------


async def _ask_confirmation(turn: Turn, slots: Mapping[str, Any], services: ActionServices, reply: Reply) -> None:
    """Offer what others reported already; else show the summary, or ask what is to be changed."""
    if slots.get("same_event") is None:
        await same_event.look(await draft_of(turn, slots, services), slots, services, reply)
        slots = reply.slots_after(turn)
    if same_event.is_offered(slots):
        same_event.ask(slots, reply)
        return
    changing = slots.get("changing")
    if changing == "event_time":
        reply.say("是什么时候发生的呢？")
        return
    if changing == "which":
        reply.say(
            "好的，要改哪一项？也可以直接说，比如“地址应该是……”。", *(f"改{name}" for name in _FIELD_NAMES.values())
        )
        return
    lines = [
        *several.summary(slots),
        "请您核对一下：",
        f"· 类型：{slots.get('request_type')}（{str(slots.get('category')).replace('/', ' - ')}）",
    ]
    lines.append(f"· 内容：{reading.shorten(str(slots.get('description')), 120)}")
    if slots.get("place") != NO_PLACE:
        lines.append(f"· 地点：{slots.get('place')}")
    if slots.get("event_time"):
        lines.append(f"· 时间：{slots['event_time']}")
    lines += ticket_elements.summary(slots, services)
    name = (
        f"{mask_name(slots['contact_name'])} "
        if slots.get("contact_name") and slots.get("contact") != ANONYMOUS
        else ""
    )
    lines.append(f"· 联系方式：{name}{slots.get('contact')}{'（已要求保密）' if slots.get('confidential') else ''}")
    lines += same_event.line(slots)
    lines.append("没问题就点“确认提交”。")
    reply.say("\n".join(lines), CONFIRM, "修改", "取消")
