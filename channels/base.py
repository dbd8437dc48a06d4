"""What a channel needs from the house, and nothing else of it."""

from collections.abc import Sequence
from typing import Any, Protocol


class Opened(Protocol):
    """A conversation that was opened, or found again."""

    @property
    def id(self) -> str: ...


class Intake(Protocol):
    """Where a channel brings what residents say, and fetches what they must be told.

    A message is a dict as the public API shows it: `id`, `sender`, `text`, `buttons`, `citations`, `ticket`, ….
    """

    async def open(self, channel: str, channel_user: str) -> Opened:
        """The conversation of this user of the channel, opened on first contact."""

    async def receive(self, conversation_id: str, text: str, client_message_id: str) -> Any:
        """Store and answer one message; the same `client_message_id` twice has one effect.

        Raises an error with a Chinese `detail` when the message cannot be taken.
        """

    async def undelivered(self, channel: str) -> Sequence[tuple[dict[str, Any], str]]:
        """Messages that residents of this channel have not got yet, oldest first, each with the channel's user."""

    async def mark_delivered(self, message_id: int) -> None:
        """Never offer this message again."""


def source_lines(message: dict[str, Any]) -> str:
    """Citations and ticket of a message that its own text does not name, for channels that show nothing but text."""
    lines = []
    for citation in message.get("citations") or []:
        name = (citation.get("title") or citation.get("document") or "").strip("《》")
        if name and name in message["text"]:
            continue  # the answer names it itself
        start, end = citation.get("valid_from"), citation.get("valid_to")
        validity = f"{start or ''} 至 {end}".strip() if end else f"{start} 起施行" if start else ""
        about = "，".join(part for part in (citation.get("issuer"), validity) if part)
        lines.append(f"依据：《{name}》{citation.get('article') or ''}" + (f"（{about}）" if about else ""))
    ticket = message.get("ticket")
    if ticket and ticket["number"] not in message["text"]:
        lines.append(f"工单 {ticket['number']}：{ticket.get('state') or '已受理'}")
    return "\n".join(lines)
