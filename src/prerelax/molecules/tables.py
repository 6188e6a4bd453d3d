"""Tables and lists of SMILES as rows: CSV and .smi."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from prerelax.molecules.row import InputFileError, RecordFile, Row, lines_of, open_text, stem

_CSV_COLUMNS = {
    "id": ("id", "name"),
    "smiles": ("smiles",),
    "charge": ("charge",),
    "multiplicity": ("multiplicity",),
}
BLANK = " \t,;\x0b\x0c"
"""Lines of nothing else, as spreadsheets leave them below a table, are no rows."""


def csv_file(path: Path) -> RecordFile[list[str]]:
    text = open_text(path, newline="")
    header = next((line for line in text if line.strip()), "")
    delimiter = next((d for d in ",;\t" if d in header), ",")
    names = next(csv.reader([header], delimiter=delimiter), [])
    columns = _csv_columns(path, names)

    other = {name.strip(): at for at, name in enumerate(names) if at not in columns.values() and name.strip()}

    def row(number: int, name: str, cells: list[str]) -> Row:
        values = {key: cells[at].strip() for key, at in columns.items() if at < len(cells)}
        return Row(
            number,
            "smiles",
            name,
            values.get("smiles", ""),
            charge=values.get("charge", ""),
            multiplicity=values.get("multiplicity", ""),
            others={key: cells[at].strip() for key, at in other.items() if at < len(cells)},
        )

    return RecordFile(_csv_records(path, text, delimiter, columns.get("id")), row)


def _csv_records(
    path: Path, text: io.TextIOWrapper, delimiter: str, id_at: int | None
) -> Iterator[tuple[str, list[str]]]:
    row = 0
    with text:
        try:
            for cells in csv.reader(text, delimiter=delimiter, strict=True):
                if any(cells) and "".join(cells).strip(BLANK):
                    row += 1
                    if id_at is None:
                        yield f"{stem(path)}-{row}", cells
                    else:
                        yield cells[id_at].strip() if id_at < len(cells) else "", cells
        except (csv.Error, OSError, EOFError, UnicodeError) as error:
            if "field limit" in str(error):
                raise InputFileError(
                    f"{path}: row {row + 1} has a field of more than {csv.field_size_limit()} characters, "
                    "which is no SMILES; look for a quotation mark before it that is not closed, or remove it"
                ) from error
            raise InputFileError(
                f"{path}: the table breaks after its row {row} ({error}); "
                "look for a quotation mark that is not closed"
            ) from error


def _csv_columns(path: Path, names: list[str]) -> dict[str, int]:
    lowered = [name.strip().lower() for name in names]
    if not any(lowered):
        raise InputFileError(
            f"{path}: the file is empty; a table with the columns smiles or id,smiles is expected"
        )
    columns = {}
    for key, accepted in _CSV_COLUMNS.items():
        found = [i for name in accepted for i, given in enumerate(lowered) if given == name]
        if len(found) > 1 and lowered[found[0]] == lowered[found[1]]:
            raise InputFileError(f"{path}: the column {lowered[found[0]]!r} appears twice in the first line")
        if found:
            columns[key] = found[0]
    if "smiles" not in columns:
        line = " ".join(", ".join(names).split())
        raise InputFileError(
            f"{path}: there is no column 'smiles' in the first line ({line}); a table needs it, and may have "
            "id, charge, multiplicity"
        )
    return columns


def count_unquoted_lines(path: Path) -> int | None:
    """Non-blank lines of a plain file without quotation marks; None where its lines are not its rows."""
    data = unquoted(path)
    if data is None:
        return None
    if not data.endswith(b"\n"):
        data += b"\n"
    body = data.lstrip(BLANK.encode() + b"\n")
    return body.count(b"\n") - len(re.findall(rb"\n[ \t,;\x0b\x0c]*(?=\n)", body))


def unquoted(path: Path) -> bytes | None:
    """A plain file without quotation marks, its lines ended by newlines; None for others."""
    if path.name.lower().endswith(".gz"):
        return None
    data = path.read_bytes()
    if b'"' in data or data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return None
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.removeprefix(codecs.BOM_UTF8)


def smi_file(path: Path) -> RecordFile[str]:
    return RecordFile(_smi_records(path), lambda number, name, smiles: Row(number, "smiles", name, smiles))


_CXSMILES = re.compile(r"\|[^|]*\|")


def _smi_records(path: Path) -> Iterator[tuple[str, str]]:
    number = 0
    for line in lines_of(path):
        smiles, name = ([*line.split(maxsplit=1), "", ""])[:2]
        if extension := _CXSMILES.match(name):
            smiles, name = f"{smiles} {extension[0]}", name[extension.end() :]
        if not smiles or (number == 0 and smiles.lower() == "smiles"):
            continue
        number += 1
        yield name.strip() or f"{stem(path)}-{number}", smiles
