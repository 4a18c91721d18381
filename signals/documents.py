"""From a file to its text: .txt and .md as they stand, .docx and .pdf through python-docx and pypdf.

1. ``read_document`` tells the kind by the file's ending and first bytes.
2. ``decode`` tries UTF-8 (with or without a mark), UTF-16 with its mark, then GB18030, which contains GBK and
   GB2312; what then does not look like Chinese or Western text is given to charset-normalizer, and refused
   where that finds nothing either. Nothing is replaced or skipped: a text is read whole or not at all.
"""

from __future__ import annotations

import codecs
import io
from pathlib import Path

from data_cache.errors import UsageError

__all__ = ["SUFFIXES", "decode", "read_document"]

SUFFIXES = (".txt", ".md", ".markdown", ".docx", ".pdf")
"""The endings a folder of notes is searched for."""


def read_document(path: Path, raw: bytes) -> str:
    """The text of a file.

    Raises:
        UsageError: it holds no text, or none that can be read; says why and what to do.
    """
    if not raw:
        raise UsageError(f"{path} is empty; a note needs text")
    if path.suffix.lower() == ".pdf" or raw.startswith(b"%PDF-"):
        text = _pdf(path, raw)
    elif path.suffix.lower() == ".docx":
        text = _docx(path, raw)
    else:
        text = decode(path, raw)
    if not text.strip():
        what = (
            "has no text layer (a scan?); run it through OCR first"
            if raw[:4] == b"%PDF"
            else "holds only blanks"
        )
        raise UsageError(f"{path} {what}")
    return text


def decode(path: Path, raw: bytes) -> str:
    """Bytes of a plain text as characters; line ends and everything else untouched, a byte order mark dropped.

    Raises:
        UsageError: the bytes are no text in UTF-8, UTF-16 with a mark, GB18030 or anything recognised.
    """
    utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encodings = ["utf-16"] if utf16 else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _is_text(text, chinese=encoding == "gb18030"):
            return text
    from charset_normalizer import from_bytes

    if b"\0" not in raw and (best := from_bytes(raw, threshold=0.1).best()) is not None:
        text = str(best)
        if _is_text(text, chinese=False) and _chinese_share(text) > 0:
            return text
    raise UsageError(
        f"{path} is not a text this can read: neither UTF-8 nor GBK (GB18030); save it as UTF-8, or as .docx or .pdf "
        "if that is what it is"
    )


def _is_text(text: str, *, chinese: bool) -> bool:
    """Whether characters look like writing: no control characters, and for GB18030 mostly common characters."""
    control = sum(c < " " and c not in "\t\n\r\f\v" for c in text) + text.count("\x7f")
    if control > len(text) // 500:
        return False
    return not chinese or _chinese_share(text) >= 0.6


def _chinese_share(text: str) -> float:
    """The share of non-ASCII letters among GB2312's 3,755 common characters, punctuation aside."""
    letters = [c for c in text if c > "\x7f" and c.isalpha()]
    if not letters:
        return 0.0
    common = 0
    for c in letters:
        try:
            common += 0xB0 <= c.encode("gb2312")[0] <= 0xD7
        except UnicodeEncodeError:
            continue
    return common / len(letters)


def _docx(path: Path, raw: bytes) -> str:
    import docx

    try:
        document = docx.Document(io.BytesIO(raw))
        parts = [p.text for p in document.paragraphs]
        parts += [" ".join(cell.text for cell in row.cells) for t in document.tables for row in t.rows]
    except Exception as error:  # noqa: BLE001 - python-docx lets zip, XML and key errors of a damaged file through
        raise UsageError(
            f"{path} cannot be read as .docx ({type(error).__name__}); save it again, or as .txt"
        ) from None
    return "\n".join(parts)


def _pdf(path: Path, raw: bytes) -> str:
    import logging

    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its remarks on odd files would reach stderr
    try:
        return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(raw)).pages)
    except Exception as error:  # noqa: BLE001 - pypdf lets struct, key and recursion errors of a damaged file through
        raise UsageError(
            f"{path} cannot be read as .pdf ({type(error).__name__}); save its text as .txt"
        ) from None
