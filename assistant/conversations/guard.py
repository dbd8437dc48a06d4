"""Input guard: what a resident typed becomes clean text, or a clear answer why not. Nothing typed is ever a command."""

import re
import unicodedata

from assistant.errors import BadInput

# Invisible characters that change how text reads or that stores choke on; line breaks and tabs stay.
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad\ufff9-\ufffb]")
_COMMAND = re.compile(r"^[/／]\s*[A-Za-z_]+")
_MARKUP = re.compile(r"^<[A-Za-z!/?]")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def clean(text: str, *, max_chars: int) -> str:
    """Return `text` without control and invisible characters, trimmed, at most `max_chars` characters.

    Raises BadInput, in the resident's words, when nothing is left or the text is too long.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs", "Cn", "Co"))
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text)).strip()
    if not text:
        raise BadInput("您还没有写内容，请写下想咨询或反映的事情。")
    if len(text) > max_chars:
        raise BadInput(f"您的内容有{len(text)}个字，一次最多{max_chars}个字。请分几次发送，前面的内容我都会记着。")
    return text


def unreadable(text: str) -> str | None:
    """The answer to text that is nobody's sentence (signs only, a slash command, markup), or None when it is one."""
    if _COMMAND.match(text):
        return "这里不用输入命令，直接用平常的话告诉我您的事情就行。"
    if _MARKUP.match(text) and not _HAN.search(text):
        return "我只看得懂文字，请直接用中文告诉我您的事情。"
    if not any(unicodedata.category(c)[0] in "LN" for c in text):
        return "我还看不懂表情和符号，请用文字告诉我您的事情。需要人工服务，请说“转人工”。"
    return None
