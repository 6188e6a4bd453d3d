"""What tells a whole shard from a damaged one: a check sum of its table, and there a digest of its frames."""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from prerelax.errors import UserError
from prerelax.records.atomic_write import write_atomically


class ShardError(UserError):
    """A file that is not a whole shard; the message names the file and what to do."""


SEAL = b"prerelax.frames"
"""Key of the seal in the table's metadata."""
_CRC, _CRC_MARK, _CRC_DIGITS = b"prerelax.check", b"crc32:", 8
"""Key, mark and digits of a table's check sum in its metadata: of the whole file, with zeros there."""
AGAIN = "the campaign makes it again at its next run; by hand, run its stage again"


@dataclass(frozen=True)
class Seal:
    """What the table knows of the frames beside it."""

    n_rows: int
    n_bytes: int
    sha256: str
    settings: list[str] = field(default_factory=list)
    """that the rows were made with, each once"""
    work_s: float = 0.0
    """seconds that the rows took at this stage"""


def table_path(shard: Path) -> Path:
    """The Parquet table beside a shard's frames."""
    return shard.with_suffix(".parquet")


def refusal_path(shard: Path) -> Path:
    """A note beside a shard that a reader found damaged; the campaign makes such a shard again."""
    return shard.with_suffix(".refused")


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet table with check sums of its pages, and one of the whole file in its metadata."""
    noted = (table.schema.metadata or {}) | {_CRC: _CRC_MARK + b"0" * _CRC_DIGITS}
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(noted), buffer, write_page_checksum=True)
    content = buffer.getvalue().to_pybytes()
    at = content.rindex(_CRC_MARK) + len(_CRC_MARK)
    summed = content[:at] + b"%08x" % zlib.crc32(content) + content[at + _CRC_DIGITS :]
    write_atomically(path, lambda part: part.write_bytes(summed))


@contextmanager
def opened_table(path: Path) -> Iterator[pq.ParquetFile]:
    """A table that `write_table` wrote, or one of an earlier version, which has no check sum.

    Raises ShardError where it is missing, cut short or changed, and for errors while it is read.
    """
    check_is_file(path)
    try:
        content = path.read_bytes()
        _check_sum(content)
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
            yield file
    except ShardError:
        raise
    except FileNotFoundError:
        raise ShardError(f"{path}: missing beside its shard; {AGAIN}") from None
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        raise refused(path, f"{path}: not a whole table ({_reason(error)})") from None


def check_is_file(path: Path) -> None:
    """Raise ShardError for a pipe or a folder in a file's place: reading a pipe waits for ever."""
    if path.exists() and not path.is_file():
        raise ShardError(f"{path}: not a file; move it away and run again")


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _check_sum(content: bytes) -> None:
    at = content.rfind(_CRC_MARK) + len(_CRC_MARK)
    if at < len(_CRC_MARK):
        return
    end = at + _CRC_DIGITS
    found = zlib.crc32(content[end:], zlib.crc32(b"0" * _CRC_DIGITS, zlib.crc32(content[:at])))
    if content[at:end] != b"%08x" % found:
        raise ValueError("its check sum differs: changed since it was written")


def seal_of(file: pq.ParquetFile) -> Seal | None:
    """What a table says of its frames; None in tables of earlier versions."""
    text = (file.schema_arrow.metadata or {}).get(SEAL)
    try:
        seal = None if text is None else Seal(**json.loads(text))
    except (TypeError, ValueError):
        seal = Seal(-1, -1, "")
    if seal is not None and seal.n_rows != file.metadata.num_rows:
        raise ValueError(f"{file.metadata.num_rows} rows where its metadata says {seal.n_rows}")
    return seal


def check_size(shard: Path, file: pq.ParquetFile) -> None:
    """See from its size alone, which costs next to nothing, that a shard was not cut. Raises ShardError."""
    seal = seal_of(file)
    try:
        size = shard.stat().st_size
    except FileNotFoundError:
        raise ShardError(f"{shard}: no such shard; run the stage that writes it first") from None
    if (size == 0 and file.metadata.num_rows) or (seal is not None and size != seal.n_bytes):
        wrote = f", not the {seal.n_bytes} that were written" if seal is not None else ""
        raise refused(shard, f"{shard}: not a whole shard ({size} bytes{wrote})")


def summary_of(shard: Path) -> Seal:
    """What is known of a shard from the end of its table and the size of its frames: one small read.

    Raises ShardError where these do not fit together.
    """
    path = table_path(shard)
    check_is_file(path)
    try:
        with pq.ParquetFile(path) as file:
            check_size(shard, file)
            seal = seal_of(file)
            if seal is None:
                table = file.read(columns=["settings", "wall_s"])
                settings = [text for text in table["settings"].unique().to_pylist() if text]
                work_s = sum(filter(None, table["wall_s"].to_pylist()))
                seal = Seal(table.num_rows, -1, "", settings, work_s)
            return seal
    except ShardError:
        raise
    except FileNotFoundError:
        raise ShardError(f"{path}: missing beside its shard; {AGAIN}") from None
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        raise ShardError(
            f"{path}: not a whole table ({' '.join(str(error).split())[:200]}); {AGAIN}"
        ) from None


def refused(shard: Path, what: str) -> ShardError:
    """The error for a damaged shard, noted beside it so that the campaign's next run makes it again."""
    with suppress(OSError):
        refusal_path(shard).write_text(what + "\n")
    return ShardError(f"{what}; {AGAIN}")
