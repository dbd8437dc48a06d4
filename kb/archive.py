"""The files inside a ZIP archive, read one by one and never written to disk."""

import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from kb import kinds
from kb.errors import FileRefused

MAX_FILES: Final = 2000
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_JUNK = re.compile(r"(?:^|/)(?:__MACOSX/|\.[^./]|~\$|Thumbs\.db$|desktop\.ini$)", re.I)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive. `load` gives its bytes; it raises FileRefused where they must not or cannot be read."""

    name: str
    load: Callable[[], bytes]


def is_junk(path: str) -> bool:
    """Whether a file is one that systems leave behind: hidden, a lock of Office, a preview."""
    return bool(_JUNK.search(path.replace("\\", "/")))


def members(name: str, data: bytes) -> Iterator[Member]:
    """The files of the archive `name` in its order, folders and leftovers of systems left out.

    Names carry that of the archive in front. Raises FileRefused where the archive as a whole must not be opened.
    """
    with kinds.open_zip(name, data, "ZIP ") as archive:
        files = [e for e in archive.infolist() if not e.is_dir() and not is_junk(_written(e))]
        if len(files) > MAX_FILES:
            raise FileRefused(name, f"压缩包里超过 {MAX_FILES} 个文件，请分成几个。")
        for entry in files:
            yield Member(f"{name}/{_written(entry)}", lambda entry=entry: _load(name, archive, entry))  # type: ignore[misc]


def _load(name: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    path = _written(entry)
    whole = f"{name}/{path}"
    if path.startswith("/") or re.match("[A-Za-z]:", path) or ".." in PurePosixPath(path).parts:
        raise FileRefused(whole, "压缩包里的路径不安全（指向包外），拒绝打开。")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise FileRefused(whole, "是指向别处的链接，不是文件。")
    if entry.flag_bits & _ENCRYPTED:
        raise FileRefused(whole, "压缩包有密码，请解压后再导入。")
    if path.lower().endswith(kinds.ARCHIVE):
        raise FileRefused(whole, "压缩包里的压缩包不会再解开，请单独导入。")
    kinds.check_name(whole)
    kinds.check_size(whole, entry.file_size)
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError, RuntimeError, zlib.error) as error:
        raise FileRefused(whole, "在压缩包里损坏，解不开。") from error


def _written(entry: zipfile.ZipInfo) -> str:
    """The name as whoever packed it wrote it: Chinese Windows writes GB18030 and does not say so."""
    name = entry.filename
    if not entry.flag_bits & _UTF8_NAME:
        try:
            raw = name.encode("cp437")
        except UnicodeEncodeError:
            return name.replace("\\", "/")
        for encoding in ("utf-8", "gb18030"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return "".join(c if c.isprintable() else "�" for c in name.replace("\\", "/"))
