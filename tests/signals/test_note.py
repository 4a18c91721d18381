"""Reading notes: files, encodings, front matter, and the refusal of what has no date."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from pathlib import Path

import pytest

from data_cache.errors import UndatedNote, UsageError
from signals.clock import SHANGHAI
from signals.note import find_notes, note_from_text, read_note

TEXT = "冷板的毛利率大概是三四十个点。\r\n\r\n去年的机柜推迟了。\n"
KNOWN = "2025-08-31T15:00+08:00"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_every_usual_encoding_gives_the_same_untouched_text(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "call.txt"
    path.write_bytes(TEXT.encode(encoding))
    note = read_note(path, known_at=KNOWN)
    assert note.text == TEXT
    assert note.sha256 == hashlib.sha256(TEXT.encode(encoding)).hexdigest()
    assert note.note_id == f"call-{note.sha256[:8]}"


@pytest.mark.parametrize(
    ("known_at", "moment"),
    [
        ("2025-08-31T15:00+08:00", "2025-08-31T15:00:00+08:00"),
        ("2025-08-31", "2025-08-31T15:00:00+08:00"),
        (dt.date(2025, 8, 31), "2025-08-31T15:00:00+08:00"),
        (dt.datetime(2025, 8, 31, 1, 0, tzinfo=dt.UTC), "2025-08-31T09:00:00+08:00"),
    ],
)
def test_known_at_is_a_moment_or_a_date_after_the_close(known_at: str, moment: str) -> None:
    assert note_from_text("文字", known_at=known_at).published_at.isoformat() == moment


def test_a_note_of_the_future_or_of_before_the_exchange_is_refused() -> None:
    now = dt.datetime.now(SHANGHAI)
    assert note_from_text("文字", known_at=now).published_at == now
    assert note_from_text("文字", known_at=now.date()).published_at.hour == 15, "its close may be to come"
    for late in (now + dt.timedelta(days=1), now.date() + dt.timedelta(days=2), "2199-01-05", "9999-12-31"):
        with pytest.raises(UsageError, match=r"call: known_at is .* lies in the future"):
            note_from_text("文字", name="call", known_at=late)
    for early in (dt.date(1, 1, 1), "0205-08-31", "1990-12-18"):
        with pytest.raises(UsageError, match=r"call: known_at is .* check the year"):
            note_from_text("文字", name="call", known_at=early)


def test_front_matter_tells_who_and_when_and_flags_win() -> None:
    text = "---\ntitle: 电话会\nsource: 某处\nspeaker: 甲\npublished_at: 2025-03-01\n---\n正文,机柜推迟。"
    note = note_from_text(text)
    assert (note.title, note.source, note.speaker) == ("电话会", "某处", "甲")
    assert note.published_at.isoformat() == "2025-03-01T15:00:00+08:00"
    assert note.text == text
    assert note.text[note.body :] == "正文,机柜推迟。"
    later = note_from_text(text, known_at="2025-04-01", title="别的")
    assert (later.title, later.published_at.month) == ("别的", 4)


def test_an_undated_note_is_refused_with_the_remedy_and_what_its_text_implies(tmp_path: Path) -> None:
    path = tmp_path / "纪要-2025-09-02.txt"
    path.write_text("GB300 的机柜已经在出货。", encoding="utf-8")
    written = dt.datetime(2025, 9, 10, tzinfo=dt.UTC).timestamp()
    os.utime(path, (written, written))
    with pytest.raises(UndatedNote) as caught:
        read_note(path)
    said = str(caught.value)
    assert caught.value.exit_code == 2
    for part in ("--known-at", "published_at", "2025-03-18", "GB300", "2025-09-10", "2025-09-02"):
        assert part in said


def test_a_day_named_in_the_text_is_a_hint_only() -> None:
    with pytest.raises(UndatedNote, match="2023-03-26 or later"):
        note_from_text("写于 2023年3月26日。美联储加息。")


@pytest.mark.parametrize("text", ["", "  \n\u3000\n", "---\npublished_at: 2025-01-01\n---\n \n"])
def test_an_empty_note_is_one_clear_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"empty|no text"):
        note_from_text(text, known_at=KNOWN)


@pytest.mark.parametrize(
    "raw",
    [b"", bytes(range(256)) * 20, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\xff\xd8" * 300, b"\0" * 100],
    ids=["empty", "all bytes", "png", "zeros"],
)
def test_garbage_is_one_clear_error(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(raw)
    with pytest.raises(UsageError, match=r"x\.txt"):
        read_note(path, known_at=KNOWN)


@pytest.mark.parametrize(("name", "raw"), [("a.docx", b"not a zip"), ("a.pdf", b"%PDF-1.4 broken")])
def test_a_damaged_document_is_one_clear_error(tmp_path: Path, name: str, raw: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(UsageError, match="cannot be read as"):
        read_note(path, known_at=KNOWN)


def test_a_word_document_gives_its_paragraphs_and_tables(tmp_path: Path) -> None:
    import docx

    document = docx.Document()
    document.add_paragraph("第一段:机柜推迟。")
    document.add_paragraph("第二段。")
    document.add_table(rows=1, cols=2).rows[0].cells[0].text = "毛利率"
    document.save(str(tmp_path / "n.docx"))
    text = read_note(tmp_path / "n.docx", known_at=KNOWN).text
    assert text.startswith("第一段:机柜推迟。\n第二段。\n毛利率")


def test_a_pdf_gives_its_text(tmp_path: Path) -> None:
    (tmp_path / "n.pdf").write_bytes(_pdf("GB300 NVL72 delay"))
    assert read_note(tmp_path / "n.pdf", known_at=KNOWN).text.strip() == "GB300 NVL72 delay"


def _pdf(text: str) -> bytes:
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n" % len(stream) + stream + b"\nendstream",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail = b"xref\n0 6\n0000000000 65535 f \n" + table + b"trailer\n<< /Size 6 /Root 1 0 R >>\n"
    return out + tail + b"startxref\n%d\n%%%%EOF\n" % len(out)


def test_a_folder_gives_its_notes_in_order_and_skips_the_rest(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("b/2.md", "1.txt", "3.csv", ".git/x.txt"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert [p.name for p in find_notes([tmp_path])] == ["1.txt", "2.md"]
    with pytest.raises(UsageError, match="no note"):
        find_notes([_empty(tmp_path)])
    with pytest.raises(UsageError, match="there is no"):
        find_notes([tmp_path / "nothing"])


def _empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"
