"""Molecule files as rows of text: CSV, SMILES lists, SDF and XYZ, cut into records without any chemistry.

Everything here is streamed and needs the standard library only, so that a workflow can count the rows of a
large file while it is parsed. What a row means chemically is decided in `prerelax.molecules.molecule`.
"""

import codecs
import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from prerelax.errors import UserError


class InputFileError(UserError):
    """A molecule file that cannot be used as a whole; the message is one sentence that names the file."""


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
    first_with_id: int = 0
    """number of the first row of the file that has this id"""


_Records = Iterator[tuple[str, Any]]
"""Ids with whatever `Row` is made of; making it is left out for rows that only have their id looked at."""


def count_rows(path: Path) -> int:
    """Number of rows that `prerelax.molecules.molecule.read_molecules` gives for the file.

    A CSV without quotes is counted by its lines (10^6 rows in about 0.1 s); everything else is cut into
    records first. Raises InputFileError as `read_molecules` does.
    """
    path = Path(path)
    records, _ = _opened(path)
    if next(records, None) is None:
        raise InputFileError(f"{path}: the file holds no molecules")
    if _suffix(path) == ".csv" and (n_lines := _count_unquoted_lines(path)) is not None:
        return n_lines - 1
    return 1 + sum(1 for _ in records)


def row_texts(path: Path) -> tuple[bytes, Iterator[bytes]]:
    """What decides how rows are read (a table's header) and each row's text, to notice rows that changed.

    A CSV without quotes is cut at its lines, 10^6 rows in about half a second. Raises as `count_rows` does.
    """
    path = Path(path)
    records, _ = _opened(path)
    if _suffix(path) != ".csv":
        return b"", (repr(record).encode() for record in records)
    if (data := _unquoted(path)) is not None:
        lines = (line for line in data.split(b"\n") if line.strip(_BLANK.encode()))
        return next(lines, b""), lines
    with _open_text(path, newline="") as text:
        header = next((line for line in text if line.strip()), "")
    return header.encode(), (repr(record).encode() for record in records)


def read_rows(path: Path, start: int = 0, stop: int | None = None) -> Iterator[Row]:
    """The rows start…stop (from 0, stop not included) of a molecule file, in order, without blank ones.

    Raises InputFileError, see `count_rows`.
    """
    records, as_row = _opened(path)
    first_with_id: dict[str, int] = {}
    number = 0
    for number, (name, payload) in enumerate(islice(records, stop), start=1):
        first = first_with_id.setdefault(name, number)
        if number > start:
            yield replace(as_row(number, name, payload), first_with_id=first)
    if number == 0 and stop != 0:
        raise InputFileError(f"{path}: the file holds no molecules")


def _opened(path: Path) -> tuple[_Records, Callable[[int, str, Any], Row]]:
    if not path.is_file():
        raise InputFileError(f"{path}: no such file")
    suffix = _suffix(path)
    if suffix not in _READERS:
        raise InputFileError(
            f"{path}: the kind of file is not known from its ending {suffix or '(none)'!r}; "
            f"use one of {', '.join(_READERS)}, each also as .gz"
        )
    return _READERS[suffix](path)


def _suffix(path: Path) -> str:
    """The file's kind by its name, whether compressed or not: `.csv`, `.sdf`, …"""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


# --- text ---------------------------------------------------------------------------------------------------


def _bytes_as_latin1(error: UnicodeError) -> tuple[str, int]:
    # Tables saved by older spreadsheet programs are Latin-1; one umlaut must not cost the whole file.
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("prerelax-latin1", _bytes_as_latin1)


def _open_text(path: Path, newline: str | None = None) -> io.TextIOWrapper:
    raw = cast(BinaryIO, gzip.GzipFile(path)) if path.name.lower().endswith(".gz") else path.open("rb")
    try:
        start = raw.read(2)
        raw.seek(0)
    except (OSError, EOFError) as error:
        raw.close()
        raise InputFileError(f"{path}: cannot be read ({error})") from error
    encoding = "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return io.TextIOWrapper(raw, encoding=encoding, errors="prerelax-latin1", newline=newline)


def _lines(path: Path) -> Iterator[str]:
    """Lines without their ends. A compressed file that is cut short ends where it was cut."""
    with _open_text(path) as text:
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


# --- CSV and SMILES lists -----------------------------------------------------------------------------------

_CSV_COLUMNS = {
    "id": ("id", "name"),
    "smiles": ("smiles",),
    "charge": ("charge",),
    "multiplicity": ("multiplicity",),
}
_BLANK = " \t,;\x0b\x0c"
"""Lines of nothing else, as spreadsheets leave them below a table, are no rows."""


def _csv(path: Path) -> tuple[_Records, Callable[[int, str, list[str]], Row]]:
    text = _open_text(path, newline="")
    header = next((line for line in text if line.strip()), "")
    delimiter = next((d for d in ",;\t" if d in header), ",")
    columns = _csv_columns(path, next(csv.reader([header], delimiter=delimiter), []))

    def row(number: int, name: str, cells: list[str]) -> Row:
        values = {key: cells[at].strip() for key, at in columns.items() if at < len(cells)}
        return Row(
            number,
            "smiles",
            name,
            values.get("smiles", ""),
            charge=values.get("charge", ""),
            multiplicity=values.get("multiplicity", ""),
        )

    return _csv_records(path, text, delimiter, columns["id"]), row


def _csv_records(path: Path, text: io.TextIOWrapper, delimiter: str, id_at: int) -> _Records:
    row = 0
    with text:
        try:
            for cells in csv.reader(text, delimiter=delimiter, strict=True):
                if any(cells) and "".join(cells).strip(_BLANK):
                    row += 1
                    yield cells[id_at].strip() if id_at < len(cells) else "", cells
        except (csv.Error, OSError, EOFError, UnicodeError) as error:
            raise InputFileError(
                f"{path}: the table breaks after its row {row} ({error}); "
                "look for a quotation mark that is not closed"
            ) from error


def _csv_columns(path: Path, names: list[str]) -> dict[str, int]:
    lowered = [name.strip().lower() for name in names]
    if not any(lowered):
        raise InputFileError(f"{path}: the file is empty; a table with the columns id,smiles is expected")
    columns = {}
    for key, accepted in _CSV_COLUMNS.items():
        found = [i for name in accepted for i, given in enumerate(lowered) if given == name]
        if len(found) > 1 and lowered[found[0]] == lowered[found[1]]:
            raise InputFileError(f"{path}: the column {lowered[found[0]]!r} appears twice in the first line")
        if found:
            columns[key] = found[0]
    for key in ("id", "smiles"):
        if key not in columns:
            raise InputFileError(
                f"{path}: there is no column {key!r} in the first line ({', '.join(names)}); "
                "a table needs the columns id,smiles"
            )
    return columns


def _count_unquoted_lines(path: Path) -> int | None:
    """Non-blank lines of a plain file without quotation marks; None where its lines are not its rows."""
    data = _unquoted(path)
    if data is None:
        return None
    if not data.endswith(b"\n"):
        data += b"\n"
    body = data.lstrip(_BLANK.encode() + b"\n")
    return body.count(b"\n") - len(re.findall(rb"\n[ \t,;\x0b\x0c]*(?=\n)", body))


def _unquoted(path: Path) -> bytes | None:
    """A plain file without quotation marks, its lines ended by newlines; None for others."""
    if path.name.lower().endswith(".gz"):
        return None
    data = path.read_bytes()
    if b'"' in data or data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return None
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.removeprefix(codecs.BOM_UTF8)


def _smi(path: Path) -> tuple[_Records, Callable[[int, str, str], Row]]:
    return _smi_records(path), lambda number, name, smiles: Row(number, "smiles", name, smiles)


def _smi_records(path: Path) -> _Records:
    number = 0
    for line in _lines(path):
        smiles, name = ([*line.split(maxsplit=1), "", ""])[:2]
        if not smiles or (number == 0 and smiles.lower() == "smiles"):
            continue
        number += 1
        yield name.strip() or f"{_stem(path)}-{number}", smiles


# --- SDF ----------------------------------------------------------------------------------------------------


def _sdf(path: Path) -> tuple[_Records, Callable[[int, str, list[str]], Row]]:
    return _sdf_records(path), _sdf_row


def _sdf_records(path: Path) -> _Records:
    for number, record in enumerate(_split_sdf(path), start=1):
        title = record[0].strip() if record else ""
        yield title or _sdf_data(record).get("id") or f"{_stem(path)}-{number}", record


def _split_sdf(path: Path) -> Iterator[list[str]]:
    record: list[str] = []
    for line in _lines(path):
        if line.startswith("$$$$"):
            yield record
            record = []
        else:
            record.append(line)
    if any(line.strip() for line in record):
        yield record


def _sdf_row(number: int, name: str, record: list[str]) -> Row:
    data = _sdf_data(record)
    end = next((i for i, line in enumerate(record) if line.startswith("M  END")), len(record) - 1)
    molblock = "\n".join(record[: end + 1]) + "\n"
    return Row(
        number,
        "sdf",
        name,
        molblock,
        charge=data.get("charge", ""),
        multiplicity=data.get("multiplicity", ""),
    )


def _sdf_data(lines: list[str]) -> dict[str, str]:
    """The first line of each data field, by the field's lower-case name."""
    data = {}
    for line, value in pairwise(lines):
        if line.startswith(">") and (name := re.search(r"<([^>]+)>", line)):
            data[name.group(1).strip().lower()] = value.strip()
    return data


# --- XYZ ----------------------------------------------------------------------------------------------------

_KEY_VALUE = re.compile(r"""([A-Za-z_]\w*)\s*=\s*("(?:\\.|[^"\\])*"|'[^']*'|\S+)""")


def _xyz(path: Path) -> tuple[_Records, Callable[[int, str, list[str]], Row]]:
    return _xyz_records(path), _xyz_row


def _xyz_records(path: Path) -> _Records:
    frames = _xyz_frames(path)
    beginning = list(islice(frames, 2))
    for number, frame in enumerate(chain(beginning, frames), start=1):
        unnamed = _stem(path) if len(beginning) == 1 else f"{_stem(path)}-{number}"
        comment = _comment(frame)
        yield _info(comment).get("id") or _name_in_comment(comment) or unnamed, frame


def _xyz_frames(path: Path) -> Iterator[list[str]]:
    """Lists of lines, each from one atom count to the next.

    Frames are cut at the counts, not by them: a count that is wrong costs its own frame, not the file's rest.
    """
    frame: list[str] = []
    for line in _lines(path):
        is_comment = len(frame) == 1 and frame[0].strip().isdigit()
        if is_comment:
            frame.append(line)
        elif line.strip().isdigit():
            if frame:
                yield frame
            frame = [line]
        elif line.strip():
            frame.append(line)
    if frame:
        yield frame


def _comment(frame: list[str]) -> str:
    return frame[1] if len(frame) > 1 and frame[0].strip().isdigit() else ""


def _info(comment: str) -> dict[str, str]:
    return {key.lower(): _info_value(value) for key, value in _KEY_VALUE.findall(comment)}


def _xyz_row(number: int, name: str, frame: list[str]) -> Row:
    if not frame[0].strip().isdigit():
        return Row(number, "xyz", name, "\n".join(frame))
    info = _info(_comment(frame))
    return Row(
        number,
        "xyz",
        name,
        "\n".join(frame[2:]),
        charge=info.get("charge", ""),
        multiplicity=info.get("multiplicity", ""),
        smiles=info.get("smiles", ""),
        n_atoms=frame[0].strip(),
        columns=info.get("properties", ""),
    )


def _info_value(raw: str) -> str:
    """A value of an extended XYZ comment as text: unquoted, unescaped, and out of ASE's `_JSON` form."""
    value = re.sub(r"\\(.)", r"\1", raw[1:-1]) if raw[:1] == '"' else raw.strip("'")
    if not value.startswith("_JSON "):
        return value
    try:
        decoded = json.loads(value.removeprefix("_JSON "))
    except ValueError:
        return value
    return decoded if isinstance(decoded, str) else json.dumps(decoded)


def _name_in_comment(comment: str) -> str:
    """The comment of plain XYZ where it is one word that names something; energies and sentences do not."""
    words = _KEY_VALUE.sub(" ", comment).split()
    if len(words) != 1 or "=" in words[0]:
        return ""
    try:
        float(words[0])
    except ValueError:
        return words[0]
    return ""


# --- NPZ ----------------------------------------------------------------------------------------------------


def _npz(path: Path) -> tuple[_Records, Callable[[int, str, list[str]], Row]]:
    return _npz_records(path), _npz_row


def _npz_records(path: Path) -> _Records:
    """Molecules of flat arrays, as training sets come: `ids`, `n_atoms`, `numbers`, `positions` in Å."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            ids, n_atoms, numbers, positions = (
                arrays[name] for name in ("ids", "n_atoms", "numbers", "positions")
            )
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputFileError(
            f"{path}: not a set of molecules with the arrays ids, n_atoms, numbers, positions ({error})"
        ) from error
    ends = np.cumsum(n_atoms)
    for name, n, end in zip(ids.tolist(), n_atoms.tolist(), ends.tolist(), strict=True):
        atoms = zip(numbers[end - n : end].tolist(), positions[end - n : end].tolist(), strict=True)
        yield str(name), [f"{z} {x:.9g} {y:.9g} {w:.9g}" for z, (x, y, w) in atoms]


def _npz_row(number: int, name: str, lines: list[str]) -> Row:
    return Row(number, "xyz", name, "\n".join(lines), n_atoms=str(len(lines)))


_READERS: dict[str, Callable[[Path], tuple[_Records, Callable[[int, str, Any], Row]]]] = {
    ".csv": _csv,
    ".smi": _smi,
    ".smiles": _smi,
    ".sdf": _sdf,
    ".mol": _sdf,
    ".xyz": _xyz,
    ".extxyz": _xyz,
    ".npz": _npz,
}
