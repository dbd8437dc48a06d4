"""A segment in one file: written aside and renamed, with a checksum, mapped into memory on reading.

Layout: magic, length and CRC-32 of the head, head (JSON: format, encoder, documents, where each array lies,
CRC-32 of all arrays), arrays at multiples of 64 bytes. Whoever has mapped a file that is replaced keeps the old one.
"""

import contextlib
import json
import mmap
import os
import secrets
import struct
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from kb.nearest import Lists, Nearest
from kb.postings import Postings
from kb.segment import Entry, Segment, Texts

_MAGIC = b"MSKBIDX\x01"
_FRAME = struct.Struct("<8sQI")
_FORMAT = 1
_ALIGN = 64
_CHUNK = 1 << 24


class IndexFileBroken(Exception):
    """The file cannot be used; the reason is for the log."""


def save(path: Path, segment: Segment, encoder_id: str) -> None:
    """Write the segment; the file at `path` is whole at any moment, the old one or the new one."""
    vocabulary = Texts.of(segment.postings.vocabulary)
    arrays: dict[str, npt.NDArray[Any]] = {
        "ids": segment.ids,
        "ordinals": segment.ordinals,
        "article_blob": segment.articles.blob,
        "article_offsets": segment.articles.offsets,
        "text_blob": segment.texts.blob,
        "text_offsets": segment.texts.offsets,
        "term_blob": vocabulary.blob,
        "term_offsets": vocabulary.offsets,
        "offsets": segment.postings.offsets,
        "positions": segment.postings.positions,
        "counts": segment.postings.counts,
        "lengths": segment.postings.lengths,
        "vectors": segment.nearest.vectors,
    }
    lists = segment.nearest.lists
    if lists is not None:
        arrays["lists"] = faiss.serialize_index(lists.index)
    places: dict[str, dict[str, Any]] = {}
    at = 0
    for name, array in arrays.items():
        at = -(-at // _ALIGN) * _ALIGN
        places[name] = {"dtype": array.dtype.str, "shape": array.shape, "at": at}
        at += array.nbytes
    head: dict[str, Any] = {
        "format": _FORMAT,
        "encoder": encoder_id,
        "entries": [[e.document_id, e.key, e.start, e.stop] for e in segment.entries],
        "arrays": places,
        "size": at,
        "lists": {"probes": lists.probes, "recall": lists.recall} if lists else None,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with aside.open("wb") as file:
            checksum = 0
            # The head holds the checksum of what follows it: a place of fixed width is filled in at the end.
            file.write(_framed(head | {"checksum": f"{0:08x}"}))
            start = -(-file.tell() // _ALIGN) * _ALIGN
            file.write(b"\0" * (start - file.tell()))
            for name, array in arrays.items():
                gap = b"\0" * (start + places[name]["at"] - file.tell())
                file.write(gap)
                checksum = zlib.crc32(gap, checksum)
                data = np.ascontiguousarray(array).data.cast("B") if array.nbytes else memoryview(b"")
                for begin in range(0, len(data), _CHUNK):
                    file.write(data[begin : begin + _CHUNK])
                    checksum = zlib.crc32(data[begin : begin + _CHUNK], checksum)
            file.seek(0)
            file.write(_framed(head | {"checksum": f"{checksum:08x}"}))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        aside.unlink(missing_ok=True)


def load(path: Path, encoder_id: str) -> Segment | None:
    """Map the file; None where there is none. Raises IndexFileBroken when it is damaged or of another encoder."""
    try:
        with path.open("rb") as file:
            begin = file.read(_FRAME.size)
            if len(begin) < _FRAME.size or not begin.startswith(_MAGIC):
                raise IndexFileBroken("not an index file")
            _, length, head_checksum = _FRAME.unpack(begin)
            whole = os.fstat(file.fileno()).st_size
            if length > whole:
                raise IndexFileBroken("cut off")
            stored = file.read(length)
            if zlib.crc32(stored) != head_checksum:
                raise IndexFileBroken("wrong checksum of the head")
            head = json.loads(stored)
            start = -(-file.tell() // _ALIGN) * _ALIGN
            if head["format"] != _FORMAT:
                raise IndexFileBroken(f"format {head['format']}")
            if head["encoder"] != encoder_id:
                raise IndexFileBroken("another encoder")
            if whole != start + head["size"]:
                raise IndexFileBroken("cut off")
            mapped = mmap.mmap(file.fileno(), whole, access=mmap.ACCESS_READ)
        data: npt.NDArray[np.uint8] = np.frombuffer(mapped, dtype=np.uint8)[start:]
        checksum = 0
        for at in range(0, len(data), _CHUNK):
            checksum = zlib.crc32(data[at : at + _CHUNK].data, checksum)
        if f"{checksum:08x}" != head["checksum"]:
            raise IndexFileBroken("wrong checksum")
        segment = _segment(head, data)
        # All of it was read; what searches need comes back page by page.
        mapped.madvise(mmap.MADV_DONTNEED)
        return segment
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise IndexFileBroken(f"{type(error).__name__}: {error}") from error


def sweep(path: Path, *, older_than: float) -> None:
    """Remove what interrupted writers left beside `path`, if it is older than a moment (seconds since the epoch)."""
    for left in path.parent.glob(f"{path.name}.*.tmp"):
        with contextlib.suppress(OSError):
            if left.stat().st_mtime < older_than:
                left.unlink()


def _framed(head: dict[str, Any]) -> bytes:
    written = json.dumps(head, ensure_ascii=False).encode()
    return _FRAME.pack(_MAGIC, len(written), zlib.crc32(written)) + written


def _segment(head: dict[str, Any], data: npt.NDArray[np.uint8]) -> Segment:
    def array(name: str) -> npt.NDArray[Any]:
        place = head["arrays"][name]
        dtype = np.dtype(place["dtype"])
        size = dtype.itemsize * int(np.prod(place["shape"], dtype=np.int64))
        found: npt.NDArray[Any] = data[place["at"] : place["at"] + size].view(dtype).reshape(place["shape"])
        return found

    blob, offsets = array("term_blob").tobytes(), array("term_offsets").tolist()
    # Cutting one decoded string would be faster, but offsets count bytes.
    vocabulary = {blob[a:b].decode(): number for number, (a, b) in enumerate(pairwise(offsets))}
    lists = None
    if head["lists"] is not None:
        index = faiss.deserialize_index(np.array(array("lists")))
        lists = Lists(index, int(head["lists"]["probes"]), float(head["lists"]["recall"]))
    return Segment(
        [Entry(*entry) for entry in head["entries"]],
        array("ids"),
        array("ordinals"),
        Texts(array("article_blob"), array("article_offsets")),
        Texts(array("text_blob"), array("text_offsets")),
        Postings(vocabulary, array("offsets"), array("positions"), array("counts"), array("lengths")),
        Nearest.of(array("vectors"), lists),
    )
