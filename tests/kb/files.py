"""Files made for the tests: PDF by hand, workbooks, archives, containers of old Office."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import openpyxl

_IMAGE = (
    b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 /Length 1 >>"
)


def pdf_of(*pages: str | None) -> bytes:
    """A PDF with a page for each text; None is a page that shows an image, as a scanner makes it, "" an empty one."""
    kids = " ".join(f"{5 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        _IMAGE + b"\nstream\n\x80\nendstream",
    ]
    for i, text in enumerate(pages):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> /XObject << /I1 4 0 R >> >> >>" % (6 + 2 * i)
        )
        drawn = b"q 612 0 0 792 0 0 cm /I1 Do Q" if text is None else f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
        objects.append(stream(b"" if text == "" else drawn))
    return pdf_from(objects)


def stream(content: bytes, more: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), more, content)


def pdf_from(objects: Sequence[bytes]) -> bytes:
    """A PDF of numbered objects, the first of which is the catalog."""
    parts, places, at = [b"%PDF-1.4\n"], [], 9
    for number, body in enumerate(objects, start=1):
        places.append(at)
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        at += len(parts[-1])
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    parts += [b"%010d 00000 n \n" % place for place in places]
    parts.append(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, at))
    return b"".join(parts)


def book(*sheets: Sequence[Sequence[Any]]) -> bytes:
    """A workbook with the rows of each sheet."""
    made = openpyxl.Workbook()
    made.remove(made.active)
    for number, rows in enumerate(sheets, start=1):
        sheet = made.create_sheet(f"表{number}")
        for row in rows:
            sheet.append(list(row))
    data = io.BytesIO()
    made.save(data)
    return data.getvalue()


def packed(parts: Mapping[str, str | bytes], base: bytes | None = None) -> bytes:
    """An archive of `parts`; with `base`, that archive with these parts added or replaced."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        if base is not None:
            with zipfile.ZipFile(io.BytesIO(base)) as old:
                for entry in old.infolist():
                    if entry.filename not in parts:
                        archive.writestr(entry.filename, old.read(entry))
        for name, content in parts.items():
            archive.writestr(name, content)
    return data.getvalue()


def macro_type(document: bytes) -> bytes:
    """The document declared as one with macros, whatever its name says."""
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        types = archive.read("[Content_Types].xml")
    return packed(
        {"[Content_Types].xml": types.replace(b"</Types>", b"<!-- macroEnabled.main+xml --></Types>")}, document
    )


def ole(stream_name: str) -> bytes:
    """The beginning of a compound file (old Office, encrypted new Office) with one stream in its directory."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + stream_name.encode("utf-16-le")
