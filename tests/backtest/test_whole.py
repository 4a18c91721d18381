"""What is written for a person is written whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backtest.whole import write_whole
from data_cache.errors import StorageError

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from backtest.whole import write_whole
from data_cache.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
folder = Path(sys.argv[1])
try:
    write_whole({folder / "a": b"new", folder / "b": b"x" * 5000})
except StorageError as error:
    print(error)
"""


def test_a_full_disk_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True
    )
    assert f"cannot write {tmp_path / 'b'}" in done.stdout
    assert "free space" in done.stdout
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "old")]


@pytest.mark.parametrize("place", [Path(), Path("b")])
def test_a_folder_in_a_files_place_changes_nothing(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("old")
    Path("b").mkdir()
    with pytest.raises(StorageError, match="it is a folder"):
        write_whole({Path("a"): b"new", place: b"new"})
    assert Path("a").read_text() == "old"


def test_all_are_written_and_replace_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    write_whole({tmp_path / "a": b"new", tmp_path / "b": "文".encode()})
    assert {p.name: p.read_text("utf-8") for p in tmp_path.iterdir()} == {"a": "new", "b": "文"}


@pytest.mark.parametrize("place", ["missing/a", "file/a", "folder"])
def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StorageError, match=f"cannot write {tmp_path / place}: .*; make its folder"):
        write_whole({tmp_path / place: b"x"})
    assert sorted(tmp_path.rglob("*")) == before, "no folder is made"
