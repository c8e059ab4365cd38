"""Opening what a user names, if it is a file: a pipe would be waited for without end, a device would never stop."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from billing_pipeline.core.errors import UserError


class NoRegularFile(UserError):  # noqa: N818 - reads as what was found
    """The path leads to a pipe, a socket or a device; the text says what was expected."""


def open_regular(path: Path) -> BinaryIO:
    """The file's bytes, without a buffer.

    Raises:
        NoRegularFile: it is none; nothing was read of it.
        OSError: it cannot be opened, or is a folder.
    """
    # without O_NONBLOCK the call itself would wait for somebody who writes into a pipe
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise NoRegularFile("a regular file, found a pipe, a socket or a device")
    return os.fdopen(descriptor, "rb", buffering=0)


def version_of(file: BinaryIO) -> tuple[int, int]:
    """Size and instant of the last change, in bytes and nanoseconds: another pair, another content."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def read_small_text(path: Path, bytes_max: int) -> str:
    """A whole file as UTF-8.

    Raises:
        NoRegularFile: it is none.
        UserError: it is larger, or no UTF-8.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        parts: list[bytes] = []
        size = 0
        while size <= bytes_max and (block := file.read(bytes_max + 1 - size)):
            parts.append(block)
            size += len(block)
    if size > bytes_max:
        raise UserError(f"larger than {bytes_max:,} bytes")
    try:
        return b"".join(parts).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8: the byte 0x{error.object[error.start]:02x} at position {error.start}") from None
