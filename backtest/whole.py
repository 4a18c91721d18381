"""Files for a person to keep, written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from data_cache.errors import StorageError

__all__ = ["unwritable", "write_whole"]


def write_whole(files: Mapping[Path, bytes]) -> None:
    """Write some files all at once: a reader never sees half of one, and a full disk loses nothing.

    Every one is first written beside its place, and moved there when all of them are.

    Raises:
        StorageError: a folder is missing or not ours to write, a folder stands in a file's place, or the disk is full;
            what was there stays.
    """
    for path in files:
        if not path.name or path.is_dir():
            raise unwritable(path, IsADirectoryError(errno.EISDIR, "it is a folder"))
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in files}
    path = Path()  # the one it fails at
    try:
        for path, part in parts.items():
            part.write_bytes(files[path])
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        for part in parts.values():
            with suppress(OSError):
                part.unlink()


def unwritable(path: Path, error: OSError) -> StorageError:
    """The refusal of a place that cannot be written."""
    return StorageError(
        f"cannot write {path}: {error.strerror or error}; make its folder or free space, or name another place "
        "(--out, --parquet or --html)"
    )
