"""What a ticket of its category needs to tell beside place and contact, asked one thing at a time.

Two slots hold it. `element_answers`, while the form runs: `told` (code → the resident's words), `asked` (codes that
need not be asked any more: answered or left out), `again` (the code that was asked a second time). `elements`: code →
words, set when nothing is left to ask; it becomes the ticket's.
"""

import re
from collections.abc import Mapping
from typing import Any

from actions import places, reading, several
from actions.protocol import Reply, Turn
from actions.reading import NO_PLACE, UNKNOWN_PLACE
from actions.services import ActionServices
from assistant.elements import MOST_ASKED, Element, said

SKIP = "跳过"

# An inquiry is answered, praise is passed on: nothing is missing for that.
_ASKED_TYPES = ("投诉", "求助", "举报")
_ANSWER_CHARS, _AROUND_AN_ANSWER = 60, 3
_MEASURED = ("number", "money", "date")
_DETAILS = {"place", "phone", "name", "time"}
_INTENTS_OF_AN_ANSWER = {
    "affirm",
    "deny",
    "correct",
    "file_request",
    "inform_place",
    "inform_detail",
    "ticket_add",
    "nlu_fallback",
    "chitchat",
    "out_of_scope",
    "feedback_helpful",
    "ticket_urge",
    "ticket_dissatisfied",
}
_ASKS_BACK = re.compile(r"[?？]|[吗么嘛]$|怎么|怎样|为什么|为啥|咋|能不能|可不可以|什么意思|凭什么|干嘛|干啥")
_LEAVES_OUT = re.compile(
    r"(?:这个?|我|俺|那|就|也|真|都|可|还)*(?:不(?:太|大|是很)?(?:知道|清楚|晓得|了解|记得|确定|懂)|说不[清上来准好]+楚?|记不[清得住]+楚?"
    r"|忘(?:记)?了?|跳过|略过?|(?:不|别)(?:想|愿意?|方便|便|能|好|用)?(?:说|讲|问|填|提供|透露)"
    r"|没(?:有)?(?:注意|留意|看清|看见|记住|数过?|算过?|问过?|听清|打听)?|无|不用|不了|随便|哪知道|哪记得|谁知道)"
    r"(?:了|啊|呀|呢|吧|哦|嘞|具体|楚|这个|那个|是|多少|谁|哪)*"
)
_AMOUNT = re.compile(r"[\d一二两三四五六七八九十百千万几半]|好多|很多|不少|挺多|全|整|都|就我|个把")
_TIME = re.compile(
    r"[\d一二两三四五六七八九十几半]|[天月年周早晚夜午昨今前刚]|一直|经常|每|星期|礼拜|最近|春|夏|秋|冬|随时|不定"
)
_MONEY = re.compile(r"[\d一二两三四五六七八九十百千万几多点.]+(?:元|块钱?|万|千)[多左右]*")
_LETTERS = re.compile(r"[\u3400-\u9fffA-Za-z0-9]")


def needed(slots: Mapping[str, Any], services: ActionServices) -> tuple[Element, ...]:
    """The elements of the draft's category and matter, what matters most first; none in danger and for inquiries."""
    if not slots.get("description") or slots.get("urgency") == "特急" or slots.get("request_type") not in _ASKED_TYPES:
        return ()
    category1, _, category2 = str(slots.get("category") or "").partition("/")
    matter = services.matter(category1, category2 or None, several.main_words(slots), slots.get("confidence") or {})
    return services.city.elements_of(category1, category2 or None, matter)


def hear(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Keep what the model marked in a message that tells what happened; its words alone can be read again later."""
    slots = reply.slots_after(turn)
    if turn.text not in str(slots.get("description") or "") or not turn.text:
        return
    state = _state(slots)
    told = said(needed(slots, services), "", several.about_main(turn.heard).entities)
    if new := {code: words for code, words in told.items() if code not in state["told"]}:
        reply.put(element_answers={**state, "told": {**new, **state["told"]}})


def settle(slots: Mapping[str, Any], services: ActionServices, reply: Reply) -> Element | None:
    """The element to ask for next; where nothing is missing, the slot `elements` is brought up to date instead."""
    elements = needed(slots, services)
    if slots.get("elements") is None and (missing := _missing(slots, elements)):
        return missing
    told = _told(slots, elements)
    if slots.get("elements") != told:
        reply.put(elements=told)
    return None


def ask(element: Element, slots: Mapping[str, Any], reply: Reply) -> None:
    """Ask, with the answers that are offered."""
    if reply.asked:
        return
    state = _state(slots)
    first = not state["asked"] and state.get("again") != element.code
    lead = "再问您一句，好让单位马上能办：" if first else ""
    reply.ask(f"{lead}{element.question}", SKIP, choices=element.values)


def overhear(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """What a reply to another question tells of the elements ("到膝盖", when a number was asked for)."""
    elements, state = needed(turn.slots, services), _state(turn.slots)
    if not may_be_an_answer(turn):
        return
    known = _told(turn.slots, elements)
    told = said(elements, turn.text, turn.heard.entities)
    if new := {code: words for code, words in told.items() if code not in known}:
        _keep(reply, state, new)


def take(turn: Turn, services: ActionServices, reply: Reply) -> bool:
    """The reply to the question: an answer, the wish to leave it out, or something else that was to be asked.

    False where it is none of them.
    """
    slots = turn.slots  # as they were when the question was asked
    elements = needed(slots, services)
    element = _missing(slots, elements)
    if element is None:
        return False
    state = _state(slots)
    text = reading.trim(turn.text)
    told = {} if _asks_back(text) else said(elements, turn.text, turn.heard.entities)
    elsewhere = _tells_only_others(text, told, element, _told(slots, elements))
    if element.code not in told and (elsewhere or _tells_only_details(turn, element)):
        _keep_place(turn, services, reply)
        if not reply.events and not elsewhere:
            return False
        _keep(reply, state, told)
        reply.ask(f"好的，记下了。{element.question}", SKIP, choices=element.values)
        return True
    answer = _answer(turn, element, told)
    if answer is None and not _left_out(turn, text, element):
        if told and may_be_an_answer(turn):
            _keep(reply, state, told)
        return False
    if answer is not None:
        told = {**told, element.code: answer}
        if "time" in element.entities and not slots.get("event_time"):
            reply.put(event_time=answer)
    _keep(reply, {**state, "asked": [*state["asked"], element.code]}, told)
    return True


def _tells_only_details(turn: Turn, element: Element) -> bool:
    """Whether a reply holds nothing but a place, number, name or time that cannot be what was asked for.

    "大学路66号门口" is no number of lamps. A question for text may be answered with a place or a name, and a house
    ("3号楼") may say how far a thing reaches.
    """
    heard = turn.heard
    others = {"text": {"phone"}, "date": {"phone", "name", "place"}}.get(element.kind, _DETAILS)
    found = {kind for kind in others if heard.first(kind)}
    place = reading.place_in(heard) if "place" in found else None
    if place and reading.is_only_a_house(place):
        return False
    return bool(found) and not reading.may_tell_a_matter(reading.beside(heard, found))


def _tells_only_others(text: str, told: Mapping[str, str], element: Element, known: Mapping[str, str]) -> bool:
    """Whether a reply to a question for text is the answer to others: "一共十二万", when the company was asked for."""
    if element.kind != "text" or not told.keys() - known.keys():
        return False
    for words in sorted(told.values(), key=len, reverse=True):
        text = text.replace(words, "")
    return len(_LETTERS.findall(text)) <= _AROUND_AN_ANSWER


def _keep_place(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """A place told in passing, unless the one that is known says as much."""
    known, told = turn.slots.get("place"), reading.place_in(turn.heard)
    if told is None or (place := places.settled(known, told, services.city)) == known:
        return
    reply.put(place=place if place != told else reading.place_from_reply(turn.text) or told)


def ask_again(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """The reply did not fit: once more, in other words; the second time the element is left out."""
    element = _missing(turn.slots, needed(turn.slots, services))
    if element is None:
        return
    state = _state(reply.slots_after(turn))
    if state.get("again") == element.code:
        _keep(reply, {**state, "asked": [*state["asked"], element.code]}, {})
        return
    reply.put(element_answers={**state, "again": element.code})
    reply.ask(f"我没记准。{element.question}不清楚就点“{SKIP}”。", SKIP, choices=element.values)


def tells_something(text: str) -> bool:
    return len(_LETTERS.findall(text)) >= 6


def may_be_an_answer(turn: Turn) -> bool:
    return turn.intent in _INTENTS_OF_AN_ANSWER and not _asks_back(reading.trim(turn.text))


def corrected(turn: Turn, services: ActionServices, *, unnamed: bool) -> dict[str, Any]:
    """The slots after "人数改成15个"; empty where no element is meant.

    `unnamed`: whether a value alone ("应该是12户") may be meant for the one element that is told in such words.
    """
    value = reading.corrected_value(turn.text)
    elements = needed(turn.slots, services)
    if value is None or not elements:
        return {}
    state, known = _state(turn.slots), _told(turn.slots, elements)
    named = [
        (len(name), element)
        for element in elements
        for name in (element.name, *element.called)
        if name in turn.text.removesuffix(value)
    ]
    if named:
        element = max(named, key=lambda found: found[0])[1]
        words = said([element], value).get(element.code, value)[:_ANSWER_CHARS]
    else:
        meant = _meant(elements, value, known) if unnamed else {}
        if len(meant) != 1:
            return {}
        ((code, words),) = meant.items()
        element = next(element for element in elements if element.code == code)
    state = {**state, "told": {**state["told"], element.code: words}}
    return {
        "element_answers": state,
        "elements": _told({**turn.slots, "element_answers": state}, elements),
        **({"event_time": words} if "time" in element.entities and turn.slots.get("event_time") else {}),
    }


def _meant(elements: tuple[Element, ...], value: str, known: Mapping[str, str]) -> dict[str, str]:
    """What a value alone says again of what is known; a sum of money needs no words around it."""
    again = {code: words for code, words in said(elements, value).items() if code in known}
    if not again and _MONEY.fullmatch(value):
        again = {element.code: value for element in elements if element.kind == "money" and element.code in known}
    return again


def summary(slots: Mapping[str, Any], services: ActionServices) -> list[str]:
    """A line for each element that is told; the time is shown already."""
    told = slots.get("elements") or {}
    return [
        f"· {element.name}：{reading.shorten(told[element.code], _ANSWER_CHARS)}"
        for element in needed(slots, services)
        if element.code in told and told[element.code] != slots.get("event_time")
    ]


def _state(slots: Mapping[str, Any]) -> dict[str, Any]:
    return {"told": {}, "asked": [], **(slots.get("element_answers") or {})}


def _keep(reply: Reply, state: Mapping[str, Any], told: Mapping[str, str]) -> None:
    reply.put(element_answers={**state, "told": {**state["told"], **told}})


def _told(slots: Mapping[str, Any], elements: tuple[Element, ...]) -> dict[str, str]:
    """Code → words, in the order of the elements: what was answered, else what the account holds."""
    account = several.main_words(slots)
    account += "".join(f"\n{more}" for more in str(slots.get("description")).split("\n补充：")[1:])
    place = slots.get("place")
    if place not in (None, NO_PLACE, UNKNOWN_PLACE):
        account += f"\n{place}"
    found = said(elements, account)
    if time := slots.get("event_time"):
        found |= said((e for e in elements if "time" in e.entities), "", [{"type": "time", "text": time}])
    found |= _state(slots)["told"]
    return {element.code: found[element.code] for element in elements if element.code in found}


def _missing(slots: Mapping[str, Any], elements: tuple[Element, ...]) -> Element | None:
    told, asked = _told(slots, elements), _state(slots)["asked"]
    if len(asked) >= MOST_ASKED:
        return None
    return next((e for e in elements if e.required and e.code not in told and e.code not in asked), None)


def _answer(turn: Turn, element: Element, told: Mapping[str, str]) -> str | None:
    text = reading.trim(turn.text)
    if text in element.values:
        return text
    if element.kind == "yes_no" and turn.intent in ("affirm", "deny") and element.code not in told:
        return None if text == SKIP else element.values[turn.intent == "deny"]
    if turn.intent == "correct":
        text = reading.corrected_value(text) or text
    if element.code in told:
        return text if len(text) <= _ANSWER_CHARS else told[element.code]
    fits = turn.intent in _INTENTS_OF_AN_ANSWER and not _asks_back(text) and not _left_out(turn, text, element)
    # The digits of an address are neither a number nor a date.
    of_kind = _is_of_kind(
        reading.beside(turn.heard, ("place", "phone")) if element.kind in _MEASURED else text, element
    )
    return text if fits and len(text) <= _ANSWER_CHARS and of_kind else None


def _is_of_kind(text: str, element: Element) -> bool:
    if element.kind in ("number", "money"):
        return bool(_AMOUNT.search(text)) and not reading.has_digits(text, 7)
    if element.kind == "date":
        return bool(_TIME.search(text)) and not reading.has_digits(text, 11)
    return len(_LETTERS.findall(text)) >= 2


def _left_out(turn: Turn, text: str, element: Element) -> bool:
    if text in ("没有", "没", "没了") and element.kind != "yes_no":
        return True
    return bool(_LEAVES_OUT.fullmatch(text)) or (turn.intent == "deny" and len(text) <= _ANSWER_CHARS)


def _asks_back(text: str) -> bool:
    return bool(_ASKS_BACK.search(text))
