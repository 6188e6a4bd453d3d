"""One molecule of a file as text, and files cut into such rows without any chemistry."""

import codecs
import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Generic, Literal, TypeVar, cast

from prerelax.errors import UserError


class InputFileError(UserError):
    """A molecule file that is unusable as a whole; the message is one sentence that names the file."""


@dataclass(frozen=True)
class Row:
    """One molecule of a file, not yet interpreted."""

    number: int
    """position among the rows of the file, from 1"""
    kind: Literal["smiles", "sdf", "xyz"]
    id: str
    """exactly as the file has it; empty where a table has none"""
    text: str
    """the SMILES, the molblock, or the atom lines"""
    charge: str = ""
    multiplicity: str = ""
    smiles: str = ""
    """the SMILES that an extended XYZ frame carries besides its coordinates"""
    n_atoms: str = ""
    """as an XYZ frame announces it"""
    columns: str = ""
    """an extended XYZ frame's `Properties`"""
    others: Mapping[str, str] = field(default_factory=dict)
    """the file's other columns or data fields, by name"""
    first_with_id: int = 0
    """number of the first row of the file that has this id"""


Content = TypeVar("Content", str, list[str])
"""What a row is made of: a text, or the lines or cells of a record."""


@dataclass(frozen=True)
class RecordFile(Generic[Content]):
    """A file cut into records."""

    records: Iterator[tuple[str, Content]]
    """ids with their content"""
    as_row: Callable[[int, str, Content], Row]
    """of number, id and content; not called for records of which the id alone is looked at"""

    def rows(self, start: int, stop: int | None) -> Iterator[Row | None]:
        """The rows up to `stop`, None for those before `start`; both from 0."""
        first_with_id: dict[str, int] = {}
        for number, (name, content) in enumerate(islice(self.records, stop), start=1):
            first = first_with_id.setdefault(name, number)
            if number <= start:
                yield None
            else:
                yield replace(self.as_row(number, name, content), first_with_id=first)


def stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def _bytes_as_latin1(error: UnicodeError) -> tuple[str, int]:
    # Tables saved by older spreadsheet programs are Latin-1; one umlaut must not cost the whole file.
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("prerelax-latin1", _bytes_as_latin1)


def open_text(path: Path, newline: str | None = None) -> io.TextIOWrapper:
    raw = cast(BinaryIO, gzip.GzipFile(path)) if path.name.lower().endswith(".gz") else path.open("rb")
    try:
        start = raw.read(2)
        raw.seek(0)
    except (OSError, EOFError) as error:
        raw.close()
        raise InputFileError(f"{path}: cannot be read ({error})") from error
    encoding = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return io.TextIOWrapper(raw, encoding=encoding, errors="prerelax-latin1", newline=newline)


def lines_of(path: Path) -> Iterator[str]:
    """Lines without their ends. A compressed file that is cut short ends where it was cut."""
    with open_text(path) as text:
        while True:
            try:
                line = text.readline()
            except EOFError:
                return
            except (OSError, UnicodeError) as error:
                raise InputFileError(f"{path}: cannot be read ({error})") from error
            if not line:
                return
            yield line.rstrip("\n")
