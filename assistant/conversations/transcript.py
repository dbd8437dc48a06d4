"""What a transcript says, for those who take a conversation over."""

from collections.abc import Sequence
from typing import Final

from assistant.db.models import Message

_SMALL_TALK: Final = frozenset(
    {"greet", "goodbye", "thank", "affirm", "deny", "cancel", "repeat", "bot_identity", "bot_capability", "chitchat"}
    | {"request_human", "insult", "complain_bot", "feedback_helpful"}
)


def question_of(transcript: Sequence[Message]) -> str:
    """What the resident wants an answer to: their latest message that says something, with the one before it."""
    said: list[str] = []
    for message in reversed(transcript):
        if message.sender == "agent" and said:
            break
        if message.sender != "resident" or not message.text.strip():
            continue
        if _intent(message) in _SMALL_TALK:
            continue
        said.append(message.text.strip())
        if len(said) == 2 or len(said[0]) >= 20:
            break
    return "\n".join(reversed(said))


def _intent(message: Message) -> str:
    intent = (message.understanding or {}).get("intent", "")
    return str(intent.get("name", "") if isinstance(intent, dict) else intent)
