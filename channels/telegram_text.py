"""Between Telegram's updates and plain text: what a resident said, and how an answer is written for Telegram."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from telegram import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message, Update
from telegram.constants import ChatType

from channels.base import source_lines

MAX_TEXT_UNITS = 4096  # of UTF-16, as Telegram counts
MAX_CALLBACK_BYTES = 64
BUTTONS_PER_ROW_CHARS = 14
LABELS = {"agent": "【座席】", "system": "【系统】"}

PRIVATE_ONLY = "为了保护您的隐私，请点我的头像，和我单独对话。"
EDITED = "改过的旧消息我不会重新处理，请把新的内容再发一遍。"
TEXT_ONLY = "目前只能看懂文字，{what}我还收不了。请把情况用文字写给我。"
CAPTION_ONLY = "{what}我还收不了，已按您写的文字处理。"
OLD_BUTTON = "这个按钮已经过期，请直接把想说的话发给我。"

_BY_INDEX = re.compile(r"#\d+")
_KINDS = (
    ("photo", "图片"),
    ("sticker", "表情贴纸"),
    ("animation", "动图"),
    ("voice", "语音"),
    ("audio", "音频"),
    ("video_note", "视频"),
    ("video", "视频"),
    ("document", "文件"),
    ("venue", "位置"),
    ("location", "位置"),
    ("contact", "名片"),
    ("poll", "投票"),
)


@dataclass(frozen=True, slots=True)
class Said:
    """One update, read. `text`: what goes to the assistant, if anything; `notice`: what the channel itself answers."""

    chat: int
    text: str | None = None
    notice: str | None = None


def read(update: Update) -> Said | None:
    """What an update says; None for one that asks for no answer (a member joined, a message was pinned)."""
    if update.callback_query is not None:
        return _pressed(update.callback_query)
    message = update.message or update.edited_message
    if message is None:
        return None
    if message.chat.type != ChatType.PRIVATE:
        return Said(message.chat.id, notice=PRIVATE_ONLY) if _addressed(message) else None
    if update.edited_message is not None:
        return Said(message.chat.id, notice=EDITED)
    if message.text is not None:
        return Said(message.chat.id, text="你好" if _is_start(message.text) else message.text)
    what = next((name for kind, name in _KINDS if getattr(message, kind)), None)
    if what is None:
        return None
    if message.caption:
        return Said(message.chat.id, text=message.caption, notice=CAPTION_ONLY.format(what=what))
    return Said(message.chat.id, notice=TEXT_ONLY.format(what=what))


def _is_start(text: str) -> bool:
    """`/start` is what Telegram itself sends when a resident opens the chat."""
    return text.split(maxsplit=1)[:1] == ["/start"]


def _addressed(message: Message) -> bool:
    return message.text is not None and (message.text.startswith("/") or "@" in message.text)


def _pressed(query: CallbackQuery) -> Said | None:
    if query.message is None:
        return None
    chat = query.message.chat
    if chat.type != ChatType.PRIVATE:
        return Said(chat.id, notice=PRIVATE_ONLY)
    data = query.data or ""
    if not _BY_INDEX.fullmatch(data):
        return Said(chat.id, text=data) if data else Said(chat.id, notice=OLD_BUTTON)
    # Too long for the data of a button: the message that the button hangs on still shows its words.
    keyboard = query.message.reply_markup if isinstance(query.message, Message) else None
    for button in (button for row in (keyboard.inline_keyboard if keyboard else ()) for button in row):
        if button.callback_data == data:
            return Said(chat.id, text=button.text)
    return Said(chat.id, notice=OLD_BUTTON)


def keyboard(buttons: Sequence[dict[str, str]] | None) -> InlineKeyboardMarkup | None:
    """Buttons of a message, short ones side by side. The data of a button is what it says, if 64 bytes hold it."""
    rows: list[list[InlineKeyboardButton]] = []
    width = BUTTONS_PER_ROW_CHARS
    for index, button in enumerate(buttons or []):
        payload = button.get("payload") or button["title"]
        fits = len(payload.encode()) <= MAX_CALLBACK_BYTES and not _BY_INDEX.fullmatch(payload)
        # The words of a button stand for what it sends, so a long payload is shown in full.
        shown = button["title"] if fits else payload
        key = InlineKeyboardButton(shown, callback_data=payload if fits else f"#{index}")
        if rows and width + len(shown) <= BUTTONS_PER_ROW_CHARS:
            rows[-1].append(key)
            width += len(shown)
        else:
            rows.append([key])
            width = len(shown)
    return InlineKeyboardMarkup(rows) if rows else None


def written(message: dict[str, Any]) -> list[str]:
    """The text of a message with its sources, in parts that Telegram accepts; at least one."""
    text = LABELS.get(message["sender"], "") + message["text"]
    if sources := source_lines(message):
        text = f"{text}\n\n{sources}"
    return split(text)


def split(text: str, limit: int = MAX_TEXT_UNITS) -> list[str]:
    """Parts of at most `limit` UTF-16 units, cut after a line, else after a sentence, else anywhere."""
    parts = []
    rest = text.strip() or "……"
    while _units(rest) > limit:
        head = _head(rest, limit)
        cut = max(head.rfind("\n"), 0) or 1 + max(head.rfind(mark) for mark in "。！？；")
        cut = cut if cut > len(head) // 3 else len(head)
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip("\n")
    return [*parts, rest]


def _head(text: str, limit: int) -> str:
    return text.encode("utf-16-le")[: limit * 2].decode("utf-16-le", errors="ignore")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
