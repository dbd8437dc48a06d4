"""The language model for the application: each text is read once."""

import asyncio
from types import SimpleNamespace
from typing import Any

from assistant.understanding import CachingReader


class CountingReader:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def read(self, text: str) -> Any:
        self.texts.append(text)
        return SimpleNamespace(text=text, as_dict=lambda: {"intent": "greet"})


async def test_a_text_is_read_once_and_old_ones_are_forgotten() -> None:
    model = CountingReader()
    reader = CachingReader(model, size=2)  # type: ignore[arg-type]
    assert (await reader.aread("甲")).text == "甲"
    assert await reader.as_dict("甲") == {"intent": "greet"}
    reader.read("乙")
    await asyncio.gather(reader.aread("甲"), reader.aread("乙"))
    assert model.texts == ["甲", "乙"]
    reader.read("丙")  # the cache is full: 甲 was used longest ago
    reader.read("乙")
    assert model.texts == ["甲", "乙", "丙"]
    reader.read("甲")
    assert model.texts[-1] == "甲"
    reader.close()
