"""What a file really is, by its content and not by its name; and the containers of Word and Excel checked before use.

Nothing is unpacked but the parts that say what kind of file it is and the XML that is looked through for entities.
"""

import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import Final

from kb.errors import FileRefused

MAX_BYTES: Final = 20 * 1024 * 1024
MAX_RATIO: Final = 100
MAX_UNPACKED: Final = 200 * 1024 * 1024
_MAX_XML = 30 * 1024 * 1024
_MAX_PARTS = 5000
_LEAST_SUSPECT = 1024 * 1024

# What each ending must hold. "text" is whatever is none of the others.
KINDS: Final[dict[str, str]] = {
    ".md": "text",
    ".markdown": "text",
    ".txt": "text",
    ".html": "text",
    ".htm": "text",
    ".csv": "text",
    ".jsonl": "text",
    ".docx": "docx",
    ".xlsx": "xlsx",
    ".pdf": "pdf",
    ".zip": "zip",
}
SUFFIXES: Final = tuple(KINDS)
ARCHIVE: Final = ".zip"

_NAMES = {
    "pdf": "PDF",
    "docx": "Word 文档（docx）",
    "xlsx": "Excel 表格（xlsx）",
    "pptx": "演示文稿（pptx）",
    "zip": "ZIP 压缩包",
    "text": "文字",
}
_RESAVE_WORD = "请用 Word 或 WPS 打开，另存为 .docx 后再导入。"
_RESAVE_SHEET = "请用 Excel 或 WPS 打开，另存为 .xlsx 后再导入。"
_RESAVE_SLIDES = "请另存为 PDF 后再导入。"
_UNPACK = "请解压后再导入，或改用 ZIP 压缩包。"
# Endings that people will try, and what they can do instead.
_ADVICE: Final[dict[str, str]] = {
    ".doc": f"旧版 Word 文件（.doc）不能直接导入，{_RESAVE_WORD}",
    ".wps": f"WPS 文字文件（.wps）不能直接导入，{_RESAVE_WORD}",
    ".dot": f"旧版 Word 模板（.dot）不能直接导入，{_RESAVE_WORD}",
    ".docm": f"带宏的 Word 文件（.docm）不能导入，{_RESAVE_WORD}",
    ".rtf": f"RTF 文件不能直接导入，{_RESAVE_WORD}",
    ".odt": f"OpenDocument 文件（.odt）不能直接导入，{_RESAVE_WORD}",
    ".xls": f"旧版 Excel 文件（.xls）不能直接导入，{_RESAVE_SHEET}",
    ".et": f"WPS 表格文件（.et）不能直接导入，{_RESAVE_SHEET}",
    ".ods": f"OpenDocument 表格（.ods）不能直接导入，{_RESAVE_SHEET}",
    ".xlsm": f"带宏的 Excel 文件（.xlsm）不能导入，{_RESAVE_SHEET}",
    ".xlsb": f"二进制 Excel 文件（.xlsb）不能直接导入，{_RESAVE_SHEET}",
    ".ppt": f"演示文稿不能直接导入，{_RESAVE_SLIDES}",
    ".pptx": f"演示文稿不能直接导入，{_RESAVE_SLIDES}",
    ".pptm": f"演示文稿不能直接导入，{_RESAVE_SLIDES}",
    ".dps": f"演示文稿不能直接导入，{_RESAVE_SLIDES}",
    ".ofd": "OFD 版式文件不能直接导入，请另存为 PDF 后再导入。",
    ".rar": f"RAR 压缩包不能直接导入，{_UNPACK}",
    ".7z": f"7z 压缩包不能直接导入，{_UNPACK}",
    ".gz": f"GZ 压缩包不能直接导入，{_UNPACK}",
    ".tar": f"TAR 压缩包不能直接导入，{_UNPACK}",
}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_STARTS = (
    (_OLE, "ole"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"%PDF-", "pdf"),
    (b"{\\rtf", "rtf"),
    (b"\x89PNG", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"Rar!", "rar"),
    (b"7z\xbc\xaf", "7z"),
    (b"\x1f\x8b", "gz"),
)
_MAIN_PART = (
    (b"wordprocessingml.document.main+xml", "docx"),
    (b"wordprocessingml.template.main+xml", "docx"),
    (b"spreadsheetml.sheet.main+xml", "xlsx"),
    (b"spreadsheetml.template.main+xml", "xlsx"),
    (b"presentationml.presentation.main+xml", "pptx"),
)
_MACROS = re.compile(rb"macroEnabled|ms-office\.vbaProject|excel\.(?:intl)?macrosheet", re.I)
_DECLARED = tuple(
    word.encode(encoding) for word in ("<!DOCTYPE", "<!ENTITY") for encoding in ("ascii", "utf-16-le", "utf-16-be")
)


def known(name: str) -> bool:
    """Whether a file of this name is a document, or something that people take for one."""
    return Path(name).suffix.lower() in (*KINDS, *_ADVICE)


def check_name(name: str) -> str:
    """The ending of the name, in small letters; FileRefused with what to do where it cannot be imported."""
    suffix = Path(name).suffix.lower()
    if suffix in _ADVICE:
        raise FileRefused(name, _ADVICE[suffix])
    if suffix not in KINDS:
        raise FileRefused(name, f"不支持的文件类型；可以导入 {'、'.join(SUFFIXES)}。")
    return suffix


def check(name: str, data: bytes) -> str:
    """The ending of a file whose content is what its name says and may be opened.

    Raises FileRefused: too large, empty, something else than the name says, encrypted, with macros, packed too tightly.
    """
    suffix = check_name(name)
    check_size(name, len(data))
    if not data.strip():
        raise FileRefused(name, "文件是空的。")
    wanted, found = KINDS[suffix], _kind(data)
    if found == "ole":
        raise FileRefused(name, _about_ole(data, suffix))
    if found == "zip":
        found = _check_container(name, data, wanted)
    if found != wanted:
        raise FileRefused(name, _mislabelled(suffix, wanted, found))
    return suffix


def check_size(name: str, size: int) -> None:
    """Raises FileRefused for a file that is larger than any may be."""
    if size > MAX_BYTES:
        raise FileRefused(name, f"文件超过 {MAX_BYTES // 1024 // 1024} MB。")


def check_packing(name: str, entries: list[zipfile.ZipInfo], packed: int) -> None:
    """Raises FileRefused where the entries of a ZIP of `packed` bytes would swell to more than is reasonable."""
    if len(entries) > _MAX_PARTS:
        raise FileRefused(name, f"压缩包里超过 {_MAX_PARTS} 个文件。")
    unpacked = sum(entry.file_size for entry in entries)
    swollen = any(
        entry.file_size > max(_LEAST_SUSPECT, MAX_RATIO * entry.compress_size) and not entry.is_dir()
        for entry in entries
    )
    if unpacked > MAX_UNPACKED or unpacked > MAX_RATIO * max(packed, 1) or swollen:
        raise FileRefused(name, f"压缩比异常（超过 {MAX_RATIO} 倍或解开后太大），拒绝打开。")


def open_zip(name: str, data: bytes, what: str) -> zipfile.ZipFile:
    """The archive, with its packing checked; FileRefused where it is broken. `what` it should be, for the message."""
    end = data.rfind(b"PK\x05\x06")
    # Read before the directory is: one with a million entries would fill the memory.
    if end >= 0 and _MAX_PARTS < int.from_bytes(data[end + 10 : end + 12], "little") < 0xFFFF:
        raise FileRefused(name, f"压缩包里超过 {_MAX_PARTS} 个文件。")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        check_packing(name, archive.infolist(), len(data))
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError) as error:
        raise FileRefused(name, f"{what}文件损坏，无法读取。") from error
    return archive


def _kind(data: bytes) -> str:
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    return "text"


def _about_ole(data: bytes, suffix: str) -> str:
    """Old Office files and encrypted new ones share a container; the names of its streams tell them apart."""

    def has(stream: str) -> bool:
        return stream.encode("utf-16-le") in data

    if has("EncryptedPackage"):
        return "文件有打开密码（已加密），请去掉密码后再导入。"
    if has("WordDocument"):
        return ("内容是旧版 Word 文件，" if suffix != ".doc" else "") + _RESAVE_WORD
    if has("Workbook") or has("Book"):
        return f"内容是旧版 Excel 文件，{_RESAVE_SHEET}"
    if has("PowerPoint Document"):
        return f"内容是旧版演示文稿，{_RESAVE_SLIDES}"
    return "内容是旧版 Office 或 WPS 文件，请另存为 .docx 或 .xlsx 后再导入。"


def _check_container(name: str, data: bytes, wanted: str) -> str:
    """Which of the ZIP-based kinds it is; FileRefused for what may not be opened."""
    with open_zip(name, data, {"docx": "DOCX ", "xlsx": "XLSX ", "zip": "ZIP "}.get(wanted, "")) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        types = entries.get("[Content_Types].xml")
        if types is None:
            return "odf" if "mimetype" in entries else "ofd" if "OFD.xml" in entries else "zip"
        if any(entry.flag_bits & 1 for entry in entries.values()):
            raise FileRefused(name, "文件有密码，请去掉密码后再导入。")
        try:
            with archive.open(types) as part:
                declared = part.read(_LEAST_SUSPECT)
            found = next((kind for mark, kind in _MAIN_PART if mark in declared), "zip")
            if _MACROS.search(declared) or any(n.lower().endswith("vbaproject.bin") for n in entries):
                raise FileRefused(name, "文件带有宏，请另存为不带宏的文件（.docx 或 .xlsx）后再导入。")
            if found == wanted:
                _check_xml(name, archive)
        except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError, zlib.error) as error:
            raise FileRefused(name, f"{wanted.upper()} 文件损坏，无法读取。") from error
        return found


def _check_xml(name: str, archive: zipfile.ZipFile) -> None:
    """No part may declare entities: Office never writes them, and a few lines of them fill any memory."""
    parts = [entry for entry in archive.infolist() if entry.filename.lower().endswith((".xml", ".rels", ".vml"))]
    if sum(entry.file_size for entry in parts) > _MAX_XML:
        raise FileRefused(name, f"文件里的文字部分超过 {_MAX_XML // 1024 // 1024} MB，请拆分后再导入。")
    for entry in parts:
        with archive.open(entry) as part:
            before = b""
            while block := part.read(1 << 20):
                if any(mark in before + block for mark in _DECLARED):
                    raise FileRefused(name, "文件里有不允许的 XML 声明（DTD 或实体），拒绝打开。")
                before = block[-32:]


def _mislabelled(suffix: str, wanted: str, found: str) -> str:
    if found in ("docx", "xlsx", "pdf") or (found == "zip" and wanted == "text"):
        return f"内容其实是 {_NAMES[found]}，请把扩展名 {suffix} 改成 .{found} 后再导入。"
    if found == "pptx":
        return f"内容其实是演示文稿，{_RESAVE_SLIDES}"
    advice = {"rtf": ".rtf", "odf": ".odt", "ofd": ".ofd", "rar": ".rar", "7z": ".7z", "gz": ".gz"}.get(found)
    if advice:
        return f"内容与扩展名 {suffix} 不符：{_ADVICE[advice]}"
    if found == "image":
        return f"内容是图片，不是{_NAMES[wanted]}；请先做文字识别。"
    return f"内容不是 {suffix[1:].upper()} 文件，可能改错了扩展名。"
