"""The index follows the database change by change, and its file is whole at any moment or made again."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from assistant.db.session import Database
from kb import index_file, keeper, store
from kb.documents import NewDocument, Passage
from kb.index_file import IndexFileBroken
from kb.search import Filters, Hit
from kb.segment import Segment
from kb.service import KbSettings, KnowledgeBase
from tests.kb.conftest import BY_WORDS, TODAY, HashEncoder, dogs, heating


def _settings(folder: Path | None) -> KbSettings:
    return KbSettings(today=lambda: TODAY, calibration=BY_WORDS, index_folder=folder)


def _segment(passages: int = 5, seed: int = 0) -> Segment:
    texts = [f"第{seed}版第{i}段：供热和养犬" for i in range(passages)]
    found = [Passage(i + 1, "a", i, None if i % 2 else f"第{i}条", text) for i, text in enumerate(texts)]
    return Segment.of([("a", f"key{seed}", "办法", found)], HashEncoder().embed(texts, "passage"))


def _same(hits: list[Hit]) -> list[tuple[object, ...]]:
    found = [(h.document.id, h.passage, round(h.score, 3), round(h.dense, 3), round(h.sparse, 3)) for h in hits]
    return sorted(found, key=lambda hit: hit[1].id)


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_changes_it_finds_what_a_new_index_finds(
    db: Database, encoder: HashEncoder, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_MERGED_FROM", 6)
    chance = random.Random(seed)
    base = KnowledgeBase(db, encoder, settings=_settings(None))
    for step in range(14):
        name = f"d{chance.randint(0, 6)}"
        match chance.choice(["put", "put", "suspend", "publish", "metadata"]):
            case "put":
                await base.import_documents([heating(name, degrees=chance.randint(10, 30))], publish=True)
            case "metadata":
                await base.import_documents([heating(name, region=f"第{step}区")], publish=True)
            case change:
                if await base.get(name):
                    await getattr(base, change)(name)
        if chance.random() < 0.3:
            await base.settled()
        fresh = KnowledgeBase(db, encoder, settings=_settings(None))
        for question in ("室内温度不低于20摄氏度", "家里不热找谁"):
            assert _same(await base.search(question, top_k=30)) == _same(await fresh.search(question, top_k=30))
    await base.settled()


async def test_one_reading_sees_one_state(db: Database) -> None:
    async with db.read(consistent=True) as session:
        before = await store.revision(session)
        async with db.begin() as other:
            await store.count_up(other)
        assert await store.revision(session) == before
    async with db.read() as session:
        assert await store.revision(session) == before + 1


async def test_a_change_reads_only_what_changed(
    db: Database, encoder: HashEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = KnowledgeBase(db, encoder, settings=_settings(None))
    await base.import_documents([heating(f"h{i}", degrees=i) for i in range(20)], publish=True)
    await base.load()
    read: list[str] = []
    real = keeper.reading.stored

    async def noting(session: object, ids: list[str], encoder_id: str) -> object:
        read.extend(ids)
        return await real(session, ids, encoder_id)  # type: ignore[arg-type]

    monkeypatch.setattr(keeper.reading, "stored", noting)
    await base.import_documents([heating("h3", degrees=99)], publish=True)
    assert "99" in (await base.search("室内温度不低于99摄氏度"))[0].passage.text
    await base.suspend("h5")
    await base.publish("h5")
    await base.load()
    assert read == ["h3"]


async def test_a_start_from_the_file_finds_the_same_and_what_changed_since(
    db: Database, encoder: HashEncoder, tmp_path: Path
) -> None:
    first = KnowledgeBase(db, encoder, settings=_settings(tmp_path))
    await first.import_documents([heating(), dogs()], publish=True)
    await first.load()
    await first.settled()
    file = tmp_path / keeper.FILE
    written = file.stat().st_mtime_ns
    await first.import_documents([heating(degrees=25)], publish=True)
    await first.suspend("dogs")
    second = KnowledgeBase(db, encoder, settings=_settings(tmp_path))
    assert "25" in (await second.answer("室内温度不低于多少")).text
    assert {h.document.id for h in await second.search("养犬登记")} == {"heating"}
    await second.settled()
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other", "folder"])
async def test_a_damaged_file_is_made_again(db: Database, encoder: HashEncoder, tmp_path: Path, damage: str) -> None:
    first = KnowledgeBase(db, encoder, settings=_settings(tmp_path))
    await first.import_documents([heating()], publish=True)
    await first.load()
    await first.settled()
    file = tmp_path / keeper.FILE
    whole = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(whole[:-1])
        case "flipped":
            file.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
        case "empty":
            file.write_bytes(b"")
        case "other":
            index_file.save(file, _segment(), "another encoder")
        case "folder":
            file.unlink()
            file.mkdir()
    with pytest.raises(IndexFileBroken):
        index_file.load(file, encoder.encoder_id)
    second = KnowledgeBase(db, encoder, settings=_settings(tmp_path))
    assert "18" in (await second.answer("室内温度不低于多少")).text
    await second.settled()


async def test_the_database_is_the_truth_even_of_a_file_of_another_one(
    db: Database, encoder: HashEncoder, tmp_path: Path
) -> None:
    index_file.save(tmp_path / keeper.FILE, _segment(), encoder.encoder_id)
    base = KnowledgeBase(db, encoder, settings=_settings(tmp_path))
    await base.import_documents([dogs("a")], publish=True)
    assert [h.passage.text for h in await base.search("供热和养犬")] == [
        "养犬人带狂犬病免疫证明到派出所办理犬只登记，领取犬牌。"
    ]


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "x"
    index_file.save(file, _segment(), "e")
    whole = bytearray(file.read_bytes())
    padding = 0
    for at in range(0, len(whole), 7):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            assert index_file.load(file, "e") is not None
            padding += 1
        except IndexFileBroken:
            pass
    # Only the bytes that fill up the head to a multiple of 64 say nothing.
    assert padding <= 10


def test_what_is_written_is_read(tmp_path: Path) -> None:
    segment = _segment()
    index_file.save(tmp_path / "x", segment, "e")
    read = index_file.load(tmp_path / "x", "e")
    assert read is not None
    assert list(read.entries) == list(segment.entries)
    assert [read.passage(i, "a") for i in range(5)] == [segment.passage(i, "a") for i in range(5)]
    assert dict(read.postings.vocabulary) == dict(segment.postings.vocabulary)
    assert np.array_equal(read.nearest.vectors, segment.nearest.vectors)
    assert index_file.load(tmp_path / "none", "e") is None
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_lists_are_written_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kb.nearest.FLAT_UP_TO", 100)
    segment = Segment.merged([_segment(400)], [np.ones(400, dtype=np.bool_)])
    assert segment.nearest.lists is not None
    index_file.save(tmp_path / "x", segment, "e")
    read = index_file.load(tmp_path / "x", "e")
    assert read is not None
    assert read.nearest.lists is not None
    asked = HashEncoder().embed(["供热"], "query")[0]
    assert sorted(read.nearest.search(asked, 20)) == sorted(segment.nearest.search(asked, 20))


_WRITER = """
import sys
from pathlib import Path
from kb import index_file
from tests.kb.test_keeper import _segment
segments = [_segment(400, seed) for seed in range(2)]
print("ready", flush=True)
while True:
    for segment in segments:
        index_file.save(Path(sys.argv[1]), segment, "e")
"""


def test_killed_at_any_moment_the_file_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "x"
    chance = random.Random(1)
    seen = set()
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(file)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(chance.uniform(0.01, 0.15))
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        segment = index_file.load(file, "e")
        if segment is not None:
            seen.add(segment.entries[0].key)
            assert len(segment) == 400
    assert seen
    index_file.sweep(file, older_than=time.time() + 1)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


async def test_filters(db: Database, encoder: HashEncoder) -> None:
    base = KnowledgeBase(db, encoder, settings=_settings(None))
    entries: dict[str, dict[str, object]] = {
        "city": {"region": "郑州市", "category": "供热"},
        "district": {"region": "郑州市金水区", "audience": "老年人"},
        "open": {},
        "elsewhere": {"region": "开封市", "audience": "企业", "category": "供热"},
    }
    documents: list[NewDocument] = [heating(name, **fields) for name, fields in entries.items()]
    await base.import_documents(documents, publish=True)

    async def found(**wanted: str) -> set[str]:
        return {h.document.id for h in await base.search("室内温度", top_k=50, filters=Filters(**wanted))}

    assert await found() == set(entries)
    assert await found(region="郑州市") == {"city", "district", "open"}
    assert await found(region="金水区") == {"district", "open"}
    assert await found(audience="老年人") == {"city", "district", "open"}
    assert await found(category="供热") == {"city", "elsewhere"}
    assert await found(category="供热", region="郑州市") == {"city"}
    assert await found(category="没有") == set()
