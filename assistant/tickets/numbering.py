"""Ticket numbers: `ZZ20261122050001` = city, day, district, running number of that day over the whole city.

The running number has at least four digits and no ceiling. The store gives it out: unique across processes and in order
of time, without making one ticket wait for another; numbers may be left out.
"""

import re
from datetime import date

__all__ = ["NUMBER_PATTERN", "UNKNOWN_DISTRICT", "find_number", "format_number"]

# For readers of text: a resident may write the letters small.
NUMBER_PATTERN = r"(?<![A-Za-z0-9])[A-Za-z]{2}20\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{2}\d{4,9}(?!\d)"
UNKNOWN_DISTRICT = "00"

_NUMBER = re.compile(NUMBER_PATTERN)


def format_number(prefix: str, day: date, district: str, sequence: int) -> str:
    """`prefix`: two letters; `district`: two digits; `sequence` counts from 1."""
    if sequence < 1:
        raise ValueError(f"a running number starts at 1, not {sequence}")
    return f"{prefix}{day:%Y%m%d}{district}{sequence:04d}"


def find_number(text: str) -> str | None:
    """The first ticket number in `text`, in capitals."""
    match = _NUMBER.search(text)
    return match[0].upper() if match else None
