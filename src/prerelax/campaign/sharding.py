"""Which rows of the input each shard treats, and how a begun campaign keeps to it.

`results/<campaign>/shards.csv` is written when a campaign begins: one line `shard,first,last,digest,check`
for each shard, rows counted from 0, `last` not included, `check` a check sum of what stands before it. Shards
that stand there never change, so rows appended to the input come into new shards and nothing else is computed
again. Standard library only: every cluster job reads this while it parses the workflow.
"""

import csv
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from prerelax.errors import UserError
from prerelax.molecules.input_files import count_rows, row_texts
from prerelax.records.atomic_write import write_text_atomically

SHARDS_FILE = "shards.csv"
_COLUMNS = ["shard", "first", "last", "digest", "check"]


@dataclass(frozen=True)
class Shard:
    """Rows `first` … `last` - 1 of the input; `digest` is of these rows' text, empty where not yet known."""

    first: int
    last: int
    digest: str = ""

    @property
    def n_rows(self) -> int:
        return self.last - self.first

    @property
    def rows(self) -> str:
        """As `prerelax embed --rows` takes it."""
        return f"{self.first}:{self.last}"


@dataclass(frozen=True)
class Sharding:
    """The shards of a campaign; counting rows and digesting them waits until somebody asks."""

    molecules: Path
    shard_size: int
    folder: Path
    """results of the campaign"""
    job_of_running_campaign: bool = False
    """take shards and digests as the running campaign noted them, without looking at the input"""
    known_rows: int | None = None
    """rows of the input, where the running campaign counted them; shards.csv may lag behind"""

    @cached_property
    def recorded(self) -> list[Shard]:
        """What shards.csv says; nothing before the campaign has begun. Raises UserError if damaged."""
        return read_shards(self.folder / SHARDS_FILE)

    @cached_property
    def shards(self) -> list[Shard]:
        """All shards. Raises UserError where the input is unusable or lost rows since the campaign began."""
        done = self.recorded[-1].last if self.recorded else 0
        if self.job_of_running_campaign and self.recorded and done >= (self.known_rows or 0):
            return self.recorded
        n_rows = count_rows(self.molecules) if self.known_rows is None else self.known_rows
        if n_rows < done:
            raise UserError(
                f"{self.molecules}: {n_rows} rows, but the campaign began with {done} "
                f"({self.folder / SHARDS_FILE}); put the missing rows back, or give the campaign another name"
            )
        return [*self.recorded, *cut(done, n_rows, self.shard_size)]

    @property
    def n_rows(self) -> int:
        """Rows of the input in all shards."""
        return self.shards[-1].last if self.shards else 0

    @property
    def names(self) -> list[str]:
        """Wildcards of the shards."""
        return [shard_name(number) for number in range(len(self.shards))]

    def rows(self, name: str) -> str:
        """Rows of a shard, as `prerelax embed --rows` takes them."""
        return self.shards[int(name)].rows

    @cached_property
    def digests(self) -> list[str]:
        """Digest of each shard's rows as the input has them now: an edited row is noticed by it."""
        if self.job_of_running_campaign and self.shards == self.recorded:
            return [shard.digest for shard in self.recorded]
        return list(row_digests(self.molecules, self.shards))

    def digest(self, name: str) -> str:
        """Digest of a shard's rows."""
        return self.digests[int(name)]

    @property
    def text(self) -> str:
        """The shards.csv to write when the campaign begins: from then on these are its shards."""
        return shards_text([replace(s, digest=d) for s, d in zip(self.shards, self.digests, strict=True)])

    def save(self) -> None:
        """Write shards.csv."""
        write_text_atomically(self.folder / SHARDS_FILE, self.text)


def shard_name(number: int) -> str:
    """The wildcard of a shard, 0007 for example."""
    return f"{number:04d}"


def cut(first: int, last: int, size: int) -> Iterator[Shard]:
    """Shards of `size` rows from `first` to `last`."""
    for begin in range(first, last, size):
        yield Shard(begin, min(begin + size, last))


def row_digests(molecules: Path, shards: Sequence[Shard]) -> Iterator[str]:
    """SHA-256 of the rows' text of each of the successive shards."""
    header, texts = row_texts(molecules)
    for shard in shards:
        content = b"\n".join([header, *islice(texts, shard.last - shard.first)])
        yield hashlib.sha256(content).hexdigest()[:16]


def read_shards(path: Path) -> list[Shard]:
    """The shards of a shards.csv; none where there is no such file. Raises UserError if damaged."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return []
    rows = list(csv.DictReader(text.splitlines()))
    try:
        shards = [Shard(int(row["first"]), int(row["last"]), row["digest"]) for row in rows]
        ends = [0, *(shard.last for shard in shards)]
        # Lists of earlier versions have no check sums.
        summed = all(row.get("check", line) == line for row, line in zip(rows, _checks(shards), strict=True))
        whole = (
            summed
            and bool(shards)
            and all(s.first == end < s.last for s, end in zip(shards, ends, strict=False))
        )
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise UserError(
            f"{path}: not a list of successive shards ({','.join(_COLUMNS)}); restore it from a copy, "
            "or delete it if shard_size has not been changed since the campaign began"
        )
    return shards


def write_shards(path: Path, shards: Sequence[Shard]) -> None:
    """Write a shards.csv unless it says the same already."""
    write_text_atomically(path, shards_text(shards))


def shards_text(shards: Sequence[Shard]) -> str:
    """The lines of a shards.csv."""
    lines = [",".join(_COLUMNS)]
    checks = zip(shards, _checks(shards), strict=True)
    lines += [f"{shard_name(n)},{s.first},{s.last},{s.digest},{check}" for n, (s, check) in enumerate(checks)]
    return "\n".join(lines) + "\n"


def _checks(shards: Sequence[Shard]) -> list[str]:
    lines = (f"{shard_name(n)},{s.first},{s.last},{s.digest}" for n, s in enumerate(shards))
    return [f"{zlib.crc32(line.encode()):08x}" for line in lines]
