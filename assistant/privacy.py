"""Masking of personal data in what people write.

Rules of the field: phone, first 3 and last 4 digits shown; identity card, first 6 and last 4; bank card, last 4.
"""

import re
from dataclasses import dataclass

_FULL_WIDTH = {ord("０") + n: str(n) for n in range(10)} | {ord("Ｘ"): "X", ord("ｘ"): "x"}
_SPOKEN = dict(zip("零〇一二三四五六七八九幺", "001234567891", strict=True))
_GAP = r"[ \-–—.]?"

_MOBILE = re.compile(rf"(?<![\d*])(?:(?:\+|00)?86{_GAP})?(1[3-9]\d(?:{_GAP}\d){{8}})(?![\d*])")
_LANDLINE = re.compile(rf"(?<![\d*])(0\d{{2,3}}{_GAP}[2-9]\d{{6,7}})(?![\d*])")
_ID_CARD = re.compile(
    r"(?<![\d*])([1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx])(?![\d*])"
)
_BANK_CARD = re.compile(r"(?<![\d*])([3-6]\d{3}(?: ?\d){12,15})(?![\d*])")
_SPOKEN_MOBILE = re.compile(
    rf"(?<![{''.join(_SPOKEN)}])([一幺][三四五六七八九][{''.join(_SPOKEN)}]{{9}})(?![{''.join(_SPOKEN)}])"
)


@dataclass(frozen=True, slots=True)
class PrivateValue:
    """`kind`: phone, id_card, bank_card. `masked` is what stands in the text, `raw` what was written (digits only)."""

    kind: str
    masked: str
    raw: str


def mask_phone(digits: str) -> str:
    """`13812345678` → `138****5678`."""
    return f"{digits[:3]}****{digits[-4:]}"


def mask_id_card(number: str) -> str:
    """`410105199001011234` → `410105********1234`."""
    return f"{number[:6]}********{number[-4:]}"


def mask_name(name: str) -> str:
    """`王小明` → `王**`."""
    return name[:1] + "*" * (len(name) - 1)


def _luhn(digits: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def mask(text: str) -> tuple[str, list[PrivateValue]]:
    """Replace phone, identity-card and bank-card numbers in `text`; returns the masked text and what was replaced.

    Full-width digits, separators and spoken mobile numbers (幺三八…) are recognised. Applying it twice changes nothing.
    """
    values: list[PrivateValue] = []
    # One character stays one character, so that spans found in the plain form hold in the text.
    plain = text.translate(_FULL_WIDTH)
    spans: list[tuple[int, int, str]] = []

    def take(kind: str, start: int, end: int, masked: str, raw: str) -> None:
        if all(end <= s or start >= e for s, e, _ in spans):
            spans.append((start, end, masked))
            values.append(PrivateValue(kind, masked, raw))

    for match in _ID_CARD.finditer(plain):
        raw = match[1].upper()
        take("id_card", *match.span(1), mask_id_card(raw), raw)
    for match in _BANK_CARD.finditer(plain):
        raw = match[1].replace(" ", "")
        if _luhn(raw):
            take("bank_card", *match.span(1), "*" * (len(raw) - 4) + raw[-4:], raw)
    for pattern in (_MOBILE, _LANDLINE):
        for match in pattern.finditer(plain):
            raw = re.sub(r"\D", "", match[1])
            take("phone", *match.span(1), mask_phone(raw), raw)
    for match in _SPOKEN_MOBILE.finditer(plain):
        raw = "".join(_SPOKEN[c] for c in match[1])
        take("phone", *match.span(1), mask_phone(raw), raw)

    for start, end, masked in sorted(spans, reverse=True):
        text = text[:start] + masked + text[end:]
    return text, values
