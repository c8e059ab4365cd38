"""A file that a user imports: opened by its extension, digested, read in batches, checked by its fields.

Here: files and streams. Not here: the formats (text.py, parquet.py), the rules, the database.
"""

import gzip
import hashlib
import io
import zlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from billing_pipeline.imports.columns import checked
from billing_pipeline.imports.parquet import read_parquet
from billing_pipeline.imports.problems import ProblemList, printable, refused
from billing_pipeline.imports.regular_files import NoRegularFile, open_regular, version_of
from billing_pipeline.imports.rules.fields import Field
from billing_pipeline.imports.text import read_csv, read_jsonl

BATCH_ROWS = 50_000
"""Rows in memory at a time: about 30 MB as Python texts."""

UNZIPPED_FREE_BYTES = 64 << 20
"""Up to here it does not matter how well a file is compressed."""
UNZIPPED_RATIO_MAX = 200
"""Usage is compressed to a twentieth at best; zeros to a thousandth."""

_READERS = {".csv": read_csv, ".jsonl": read_jsonl, ".ndjson": read_jsonl, ".parquet": read_parquet}


class ImportFile:
    """One pass over a file.

    Attributes:
        name: its name without the folder.
        problems: what is wrong with it, complete once `tables` is exhausted.
        row_count: rows without a problem so far.
    """

    def __init__(self, path: Path, fields: Sequence[Field], batch_rows: int = BATCH_ROWS) -> None:
        self.name = printable(path.name)
        self.problems = ProblemList(self.name)
        self.row_count = 0
        self._path = path
        self._fields = fields
        self._batch_rows = batch_rows
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Digest of the bytes that were read: the whole file once `tables` is exhausted without a problem."""
        return self._digest.hexdigest()

    def tables(self) -> Generator[pa.Table, None, None]:
        """The rows without a problem, in batches: `line` and every field as canonical text.

        Raises:
            ImportRefused: the file cannot be read at all, or its columns are not those of its kind.
        """
        suffix, zipped = self._format()
        try:
            with open_regular(self._path) as raw:
                version = version_of(raw)
                stream = self._stream(cast(io.RawIOBase, raw), suffix, zipped)
                for batch in _READERS[suffix](stream, self._fields, self.problems, self._batch_rows):
                    table = checked(batch, self._fields, self.problems)
                    self.row_count += table.num_rows
                    if table.num_rows:
                        yield table
                self._require_unchanged(raw, version, read_twice=suffix == ".parquet")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise refused(self.name, f"a complete gzip file: {error}") from None
        except NoRegularFile as error:
            raise refused(self.name, str(error)) from None
        except FileNotFoundError:
            raise refused(self.name, f"an existing file at {printable(str(self._path))}") from None
        except OSError as error:
            raise refused(self.name, f"a readable file: {error.strerror or error}") from None

    def _format(self) -> tuple[str, bool]:
        suffixes = [suffix.lower() for suffix in self._path.suffixes]
        zipped = suffixes[-1:] == [".gz"]
        suffix = suffixes[-2:-1] if zipped else suffixes[-1:]
        if not suffix or suffix[0] not in _READERS or (zipped and suffix[0] == ".parquet"):
            raise refused(self.name, "a file named *.csv, *.jsonl, *.ndjson (each also with .gz) or *.parquet")
        return suffix[0], zipped

    def _stream(self, raw: io.RawIOBase, suffix: str, zipped: bool) -> BinaryIO:
        if suffix == ".parquet":
            # Parquet is read from its end, so the digest needs another pass over the file
            self._digest = _digest_of(raw)
            return cast(BinaryIO, raw)
        buffered = io.BufferedReader(_Digesting(raw, self._digest), 1 << 18)
        if not zipped:
            return buffered
        unzipped = _Limited(gzip.GzipFile(fileobj=buffered), raw, self.name)
        return cast(BinaryIO, io.BufferedReader(unzipped, 1 << 18))

    def _require_unchanged(self, raw: BinaryIO, version: tuple[int, int], *, read_twice: bool) -> None:
        """What was loaded is what the digest is of."""
        if version_of(raw) != version or (read_twice and _digest_of(raw).digest() != self._digest.digest()):
            raise refused(self.name, "a file that stays as it is while it is read: import it when it is complete")


def _digest_of(raw: BinaryIO | io.RawIOBase) -> "hashlib._Hash":
    digest = hashlib.sha256()
    raw.seek(0)
    while block := raw.read(1 << 20):
        digest.update(block)
    raw.seek(0)
    return digest


class _Limited(io.RawIOBase):
    """Ends a compressed file that becomes much more than any usage does: a few kilobytes can stand for terabytes."""

    def __init__(self, unzipped: gzip.GzipFile, raw: io.RawIOBase, name: str) -> None:
        self._unzipped = unzipped
        self._raw = raw
        self._name = name
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = self._unzipped.readinto(buffer)
        self._size += count
        if self._size > max(UNZIPPED_FREE_BYTES, UNZIPPED_RATIO_MAX * self._raw.tell()):
            raise refused(self._name, f"a gzip file that becomes at most {UNZIPPED_RATIO_MAX} times as large")
        return count


class _Digesting(io.RawIOBase):
    """Hashes what is read, so that the digest is of the bytes that were loaded."""

    def __init__(self, raw: io.RawIOBase, digest: "hashlib._Hash") -> None:
        self._raw = raw
        self._digest = digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = self._raw.readinto(buffer) or 0
        self._digest.update(memoryview(buffer)[:count])
        return count
