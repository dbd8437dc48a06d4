"""Several matters in one message: the first is filed now, the others wait until the resident wants them filed too.

Two slots hold them. `matters`: every matter of the draft, the one that is filed first. `waiting_matters`: what is left
of tickets already filed, each with the place and the contact that were good for its ticket.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from actions import reading
from actions.protocol import Heard, Reply, Turn
from actions.reading import NO_PLACE, UNKNOWN_PLACE
from assistant.tickets.model import Matter
from nlu.runtime import Understanding

NEXT, NOT_NOW = "登记另一件事", "先不登记"
_APART = "apart"  # told by itself later, so that no ticket has its words
KEPT = ("place", "contact", "contact_name", "confidential")
"""What a ticket hands on to the next one."""

_MOST_WAITING = 8
_NUMBERS = "①②③④⑤⑥⑦⑧⑨"
_SHOWN_CHARS = 40


def as_slot(heard: Heard) -> list[dict[str, Any]]:
    return [asdict(matter) for matter in heard.matters]


def others(slots: Mapping[str, Any]) -> tuple[Matter, ...]:
    """What the draft speaks of beside the matter that is filed."""
    return tuple(Matter.from_dict(matter) for matter in (slots.get("matters") or ())[1:])


def main_words(slots: Mapping[str, Any]) -> str:
    """The words that tell the matter that is filed: all of the description where it tells nothing else."""
    matters = slots.get("matters")
    return str(matters[0]["text"] if matters else slots["description"])


def about_main(heard: Heard) -> Heard:
    """A message without the places and times that belong to its other matters.

    Where its own part names no place, one named before it holds for it too; one named behind it is another matter's.
    """
    if not heard.matters:
        return heard
    start = max(heard.text.find(heard.matters[0].text), 0)
    end = start + len(heard.matters[0].text)
    inside = [e for e in heard.entities if start <= int(e["start"]) < end]
    before = [e for e in heard.entities if int(e["start"]) < start]
    named = [e for e in inside if e.get("type") == "place"] or [e for e in before if e.get("type") == "place"]
    times = [e for e in inside if e.get("type") == "time"]
    rest = [e for e in heard.entities if e.get("type") not in ("place", "time")]
    return replace(heard, entities=(*named, *times, *rest))


def summary(slots: Mapping[str, Any]) -> list[str]:
    """Which matters were heard, and which is filed now; nothing where there is only one."""
    matters = slots.get("matters") or ()
    if not matters:
        return []
    lines = [f"您这段话里说了{len(matters)}件事，咱们一件一件登记，都不会漏："]
    for number, matter in zip(_NUMBERS, matters, strict=False):
        when = "这次先登记这一件" if number == _NUMBERS[0] else "提交以后接着帮您登记"
        lines.append(f"{number} {_shown(matter)}（{matter['category1']}）——{when}")
    return lines


def waiting(slots: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is left to file when the draft has become a ticket."""
    kept = {name: slots[name] for name in KEPT if slots.get(name)}
    if kept.get("place") in (NO_PLACE, UNKNOWN_PLACE):
        del kept["place"]
    left = [{**asdict(matter), **kept} for matter in others(slots)]
    return [*left, *(slots.get("waiting_matters") or ())][:_MOST_WAITING]


def with_another(slots: Mapping[str, Any], heard: Heard) -> list[dict[str, Any]]:
    """What waits, and a matter of its own told while a draft is nearly complete."""
    matter = asdict(Matter(heard.category1, heard.category2, heard.text.strip()))
    kept = {name: slots[name] for name in KEPT if slots.get(name) and name != "place"}
    return [*(slots.get("waiting_matters") or ()), {**matter, **kept, _APART: True}][:_MOST_WAITING]


def without_contact(waiting: Sequence[Mapping[str, Any]], contact: str) -> list[dict[str, Any]]:
    """What waits, each with this contact and without a name."""
    return [
        {**{name: value for name, value in m.items() if name != "contact_name"}, "contact": contact} for m in waiting
    ]


def offer(left: Sequence[Mapping[str, Any]], reply: Reply) -> None:
    """Ask whether the next matter is to become a ticket of its own."""
    if not left:
        return
    told = "另一件事" if len(left) == 1 else f"另外{len(left)}件事，下一件是"
    reply.say(
        f"您刚才还说了{told}：“{_shown(left[0])}”。要不要也登记一张工单，派给管这件事的单位？"
        "地点和联系方式先照刚才的填，您可以改。",
        NEXT,
        NOT_NOW,
    )


def was_offered(turn: Turn) -> bool:
    """Whether a yes or no is about the offer: a plain one only where the last answer made it."""
    answered = reading.trim(turn.text) == NOT_NOW or turn.ran_in_previous_turn("action_submit_ticket")
    return answered and bool(turn.slots.get("waiting_matters"))


def wants_next(turn: Turn) -> bool:
    tapped = reading.trim(turn.text) == NEXT
    return bool(turn.slots.get("waiting_matters")) and (tapped or turn.came_after == "action_affirm")


def decline(turn: Turn, reply: Reply) -> None:
    """Nothing is lost unheard by a no: the ticket that was filed holds the whole message; what does not stand there is
    said."""
    waiting = turn.slots.get("waiting_matters") or ()
    reply.put(waiting_matters=None)
    if apart := [matter for matter in waiting if matter.get(_APART)]:
        told = "、".join(f"“{_shown(matter)}”" for matter in apart)
        reply.say(f"好的，先不登记。{told}没有写进刚才的工单；以后想登记，直接跟我说就行。", "查工单进度")
        return
    ticket = turn.slots.get("last_ticket")
    reply.say(f"好的，先不登记。您说的原话都在工单{ticket}里，单位看得到；以后想登记，直接跟我说就行。", "查工单进度")


def heard_again(matter: Mapping[str, Any], read: Understanding) -> Heard:
    """A waiting matter as if it had been told by itself.

    Its category stays the one the resident was shown, as sure as the reading of its own words is of it.
    """
    heard = Heard.of({"text": read.text, "intent": {"name": "file_request"}, "understanding": read.as_dict()})
    level1, level2 = matter["category1"], matter["category2"]
    if heard.category1 != level1:
        sure = next((label.confidence for label in read.category1_ranking if label.name == level1), 0.0)
        confidence = {**heard.confidence, "category1": round(sure, 4)}
        confidence.pop("category2", None)
        heard = replace(heard, category1=level1, category2=level2, confidence=confidence)
    return replace(heard, matters=())


def _shown(matter: Mapping[str, Any]) -> str:
    return reading.shorten(reading.trim(str(matter["text"])), _SHOWN_CHARS)
