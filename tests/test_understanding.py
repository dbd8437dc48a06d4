"""The language model for the application: each text is read once."""

import asyncio
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

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


async def test_a_question_that_was_read_is_not_encoded_again() -> None:
    class Embedding(CountingReader):
        embedded: ClassVar[list[str]] = []
        encoder_id = "e1"

        def read(self, text: str) -> Any:
            return SimpleNamespace(text=text, vector=np.full(3, 0.5, np.float32))

        def embed(self, texts: list[str], kind: str) -> Any:
            self.embedded.extend(texts)
            return np.zeros((len(texts), 3), np.float32)

    reader = CachingReader(Embedding())  # type: ignore[arg-type]
    reader.read("甲")
    assert reader.encoder_id == "e1"
    assert reader.embed(["甲"], "query").tolist() == [[0.5, 0.5, 0.5]]
    assert reader.embed(["甲"], "passage").shape == (1, 3) and reader.embed(["乙"], "query").shape == (1, 3)
    assert Embedding.embedded == ["甲", "乙"]
    reader.close()


async def test_another_reader_reads_what_was_read_before() -> None:
    class Named(CountingReader):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name
            self.meanwhile = lambda: None

        def read(self, text: str) -> Any:
            self.meanwhile()
            return SimpleNamespace(text=text, name=self.name)

    first, second = Named("first"), Named("second")
    reader = CachingReader(first)  # type: ignore[arg-type]
    assert reader.read("甲").name == "first"
    reader.swap(second)  # type: ignore[arg-type]
    assert reader.read("甲").name == "second"
    # What a reader that was replaced meanwhile has read is not kept.
    second.meanwhile = lambda: reader.swap(first)  # type: ignore[arg-type]
    assert reader.read("乙").name == "second"
    assert reader.read("乙").name == "first"
    reader.close()
