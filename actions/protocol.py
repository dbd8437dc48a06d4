"""One call of the engine as a small object, and the answer to it.

The engine posts `{next_action, sender_id, tracker, version}` and expects `{events, responses}`; a status of 400 with
`{action_name, error}` means "this action declines", any other error "this action failed" (rasa.core.actions.action,
class RemoteAction, Rasa 3.6.21).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict

from actions.buttons import BUTTONS
from actions.services import ActionServices
from assistant.tickets.model import Matter

Event = dict[str, Any]


class EngineCallError(Exception):
    """Base of what can be wrong with a call of the engine; `status` is what the engine is answered."""

    status = 500


class WrongSecret(EngineCallError):
    status = 401


class MalformedCall(EngineCallError):
    status = 422


class UnknownAction(EngineCallError):
    status = 404


class NothingUnderstood(EngineCallError):
    """The turn holds no reading of the resident's text: the NLU endpoint failed, and Rasa went on without it."""

    status = 503


class Tracker(BaseModel):
    """The part of the engine's tracker that actions read."""

    model_config = ConfigDict(extra="ignore")

    slots: dict[str, Any] = {}
    latest_message: dict[str, Any] | None = None
    events: list[dict[str, Any]] = []
    active_loop: dict[str, Any] | None = None


class ActionCall(BaseModel):
    """The body of a call."""

    model_config = ConfigDict(extra="ignore")

    next_action: str
    sender_id: str
    tracker: Tracker


@dataclass(frozen=True, slots=True)
class Heard:
    """What the language model read in one message; from `Understanding.as_dict()`."""

    text: str
    intent: str
    request_type: str
    category1: str
    category2: str | None
    urgency: str
    entities: tuple[Mapping[str, Any], ...]
    confidence: Mapping[str, float]
    candidates: tuple[tuple[str, float], ...]
    """The likeliest categories, "level 1/level 2" with probability."""
    model_version: str
    ranking: tuple[str, ...] = ()
    matters: tuple[Matter, ...] = ()
    """Every matter of a message that holds several, the main one first; else empty."""

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> "Heard":
        """Read a parse result. Raises `NothingUnderstood` if the NLU endpoint has not filled it."""
        read = message.get("understanding")
        if not read:
            raise NothingUnderstood
        told = read.get("requests") or ()
        return cls(
            text=str(message.get("text") or ""),
            intent=str((message.get("intent") or {}).get("name") or ""),
            request_type=read["request_type"],
            category1=read["category"]["level1"],
            category2=read["category"].get("level2"),
            urgency=read["urgency"],
            entities=tuple(read.get("entities") or ()),
            confidence=read.get("confidence") or {},
            candidates=tuple((name, sure) for name, sure in read["category"].get("candidates") or ()),
            model_version=read.get("model_version", ""),
            ranking=tuple(item["name"] for item in message.get("intent_ranking") or ()),
            matters=tuple(Matter(m["level1"], m.get("level2"), m["text"]) for m in told) if len(told) > 1 else (),
        )

    def all(self, kind: str) -> list[str]:
        """The texts of every entity of a kind, in order."""
        return [str(entity["text"]) for entity in self.entities if entity.get("type") == kind]

    def first(self, kind: str) -> str | None:
        return next(iter(self.all(kind)), None)


@dataclass(frozen=True)
class Turn:
    """The engine's call, read for the actions."""

    action: str
    sender_id: str
    slots: Mapping[str, Any]
    message: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    form: str | None

    @classmethod
    def of(cls, call: ActionCall) -> "Turn":
        tracker = call.tracker
        return cls(
            action=call.next_action,
            sender_id=call.sender_id,
            slots=tracker.slots,
            message=tracker.latest_message or {},
            events=tracker.events,
            form=(tracker.active_loop or {}).get("name"),
        )

    @property
    def conversation_id(self) -> str:
        """The application's id; the engine's sender id is `<conversation id>:<engine session>`."""
        return self.sender_id.split(":", 1)[0]

    @cached_property
    def heard(self) -> Heard:
        return Heard.of(self.message)

    @property
    def text(self) -> str:
        return str(self.message.get("text") or "").strip()

    @property
    def intent(self) -> str:
        return self.heard.intent

    @property
    def asked(self) -> str | None:
        """The slot the form asked for last."""
        value = self.slots.get("requested_slot")
        return str(value) if value else None

    @cached_property
    def number(self) -> int:
        """How many messages the resident has written in this engine session. The same again if a turn was lost."""
        return sum(event.get("event") == "user" for event in self.events)

    @property
    def key(self) -> str:
        """Names this turn: a turn that is played again after a crash has the same key."""
        return f"{self.sender_id}:{self.number}"

    @property
    def is_new_message(self) -> bool:
        """Whether a form's validation is called for a message nobody has dealt with yet.

        Rasa calls it again when it comes back to the form after an interruption, with the same message. The tracker
        it passes ends with the form's own action, which stands for "now".
        """
        return self.came_after == "action_listen"

    @cached_property
    def came_after(self) -> str:
        """The action before this form's validation: `action_listen`, or what interrupted the form."""
        before = [str(event.get("name")) for event in self.events if event.get("event") == "action"]
        if before and before[-1] == self.form:
            before.pop()
        return before[-1] if before else "action_listen"

    @property
    def form_stays_silent(self) -> bool:
        """After a person was asked for, the form waits without a question, which would talk over the agent."""
        return self.came_after == "action_request_human"

    def times_asked(self, slot: str) -> int:
        """How often in a row the form has asked for this slot; only for its validation.

        The tracker that Rasa passes to a validation holds the requested slot once more, at its end.
        """
        count = -1
        for event in reversed(self.events):
            if event.get("event") == "slot" and event.get("name") == "requested_slot":
                if event.get("value") != slot:
                    break
                count += 1
        return count

    def ran_in_previous_turn(self, action: str) -> bool:
        """Whether the answer to the resident's last message but this one came from that action."""
        users = 0
        for event in reversed(self.events):
            if event.get("event") == "user":
                users += 1
                if users == 2:
                    break
            elif users == 1 and event.get("event") == "action" and event.get("name") == action:
                return True
        return False

    def previous_messages(self) -> list[Mapping[str, Any]]:
        """Parse results of the resident's earlier messages, latest first, without the present one."""
        users = [event for event in self.events if event.get("event") == "user"]
        return [event.get("parse_data") or {} for event in reversed(users[:-1])]

    def told(self, number: int) -> Mapping[str, Any]:
        """The parse result of the message that was the turn of this `number`; empty for one that is not known."""
        before = self.previous_messages()
        return before[self.number - 1 - number] if 0 < number < self.number else {}

    def turns_since_draft(self) -> list[tuple[Mapping[str, Any], tuple[str, ...]]]:
        """As `previous_messages`, back to the end of the last draft, each with the names of the actions behind it."""
        turns: list[tuple[Mapping[str, Any], tuple[str, ...]]] = []
        actions: list[str] = []
        for event in reversed(self.events):
            if event.get("event") == "reset_slots":
                break
            if event.get("event") == "action":
                actions.append(str(event.get("name")))
            elif event.get("event") == "user":
                turns.append((event.get("parse_data") or {}, tuple(actions)))
                actions = []
        return turns[1:]


class Reply:
    """Collects what an action says and changes."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.responses: list[dict[str, Any]] = []
        self.asked = False  # whether the next question is asked already, in other words than usual

    def ask(self, text: str, *buttons: str, choices: Sequence[str] = ()) -> None:
        """Ask in place of the form's usual question. `choices`: answers to tap that the form takes word for word."""
        self.asked = True
        self.say(text, *buttons)
        if choices:
            shown = self.responses[-1].setdefault("buttons", [])
            shown[:0] = [{"title": choice, "payload": choice} for choice in choices]

    def say(
        self,
        text: str,
        *buttons: str,
        questions: Mapping[str, str] = MappingProxyType({}),
        custom: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a message. A button sends its own words; raises `ValueError` for one that would not be understood.

        `questions`: further buttons, what they say → the question they ask, which is read as any other.
        """
        if unknown := [button for button in buttons if button not in BUTTONS]:
            raise ValueError(f"not in actions.buttons: {unknown}")
        response: dict[str, Any] = {"text": text}
        if offered := {**questions, **{button: button for button in buttons}}:
            response["buttons"] = [{"title": title, "payload": payload} for title, payload in offered.items()]
        if custom:
            response["custom"] = dict(custom)
        self.responses.append(response)

    def utter(self, response: str) -> None:
        """Add one of the responses of `domain.yml`."""
        self.responses.append({"response": response})

    def slots_after(self, turn: Turn) -> dict[str, Any]:
        """The slots of the turn with this reply's changes."""
        return {**turn.slots, **{event["name"]: event["value"] for event in self.events if event["event"] == "slot"}}

    def put(self, **slots: Any) -> None:
        """Set slots."""
        self.events += [{"event": "slot", "name": name, "value": value} for name, value in slots.items()]

    def forget_all(self) -> None:
        """Empty every slot with a single event."""
        self.events.append({"event": "reset_slots"})

    def go_on_with(self, action: str) -> None:
        """Run this action next, whatever the rules say."""
        self.events.append({"event": "followup", "name": action})

    def as_dict(self) -> dict[str, Any]:
        return {"events": self.events, "responses": self.responses}


Handler = Callable[[Turn, ActionServices, Reply], Awaitable[None]]


@dataclass(frozen=True)
class Catalogue:
    """The actions of one topic, by the name `domain.yml` gives them."""

    handlers: dict[str, Handler] = field(default_factory=dict)

    def action(self, name: str) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            if name in self.handlers:
                raise ValueError(f"action {name} is defined twice")
            self.handlers[name] = handler
            return handler

        return register
