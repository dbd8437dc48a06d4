"""Text as it is split, searched and quoted: one way of writing, paragraphs on lines, sentences."""

import re
import unicodedata

_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad]")
# Web pages that lost their line breaks keep the indentation of each paragraph: two ideographic or en spaces.
_LOST_BREAK = re.compile("[ \t]*(?:\u3000{2,}|[\u2002\u2003]{2,})[ \t\u3000\u2002\u2003]*")
_SENTENCE = re.compile(r"[^。！？；!?;\n]*(?:[。！？；!?;]+[”’」』）)]*|\n|$)")

_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127])


def clean(text: str) -> str:
    """Line breaks as one kind, invisible and control characters gone, one paragraph a line, no empty lines."""
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _LOST_BREAK.sub("\n", text)
    text = "".join(c if c in "\n\t" or unicodedata.category(c)[0] != "C" else " " for c in text)
    lines = (re.sub(r"[ \t\u00a0\u2002-\u200a\u3000]+", " ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def folded(text: str) -> str:
    """For comparing: compatibility forms and letter case unified."""
    return unicodedata.normalize("NFKC", text).casefold()


def sentences(text: str) -> list[str]:
    """The text cut after full stops, question and exclamation marks, semicolons and line ends; nothing is lost."""
    return [s for s in (m.group().strip() for m in _SENTENCE.finditer(text)) if s]


def storable(text: str) -> str:
    """Without what a database refuses: halves of characters and control characters."""
    return text.encode("utf-8", "replace").decode().translate(_CONTROLS)
