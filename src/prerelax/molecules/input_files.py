"""Molecule files as rows of text: CSV, SMILES lists, SDF, XYZ, npz, inputs and outputs of programs.

They are cut into records without chemistry, streamed but for outputs, and counted with the standard library
only (npz: numpy), so that a workflow can count the rows of a large file while it is parsed. What a row means
chemically is decided in `prerelax.molecules.molecule`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from prerelax.molecules.program_files import gaussian_input, orca_input, output_file
from prerelax.molecules.row import InputFileError, RecordFile, Row, open_text
from prerelax.molecules.structure_files import npz_file, sdf_file, xyz_file
from prerelax.molecules.tables import BLANK, count_unquoted_lines, csv_file, smi_file, unquoted

__all__ = ["InputFileError", "Row", "count_rows", "read_rows", "row_texts"]


def count_rows(path: Path) -> int:
    """Number of rows that `prerelax.molecules.molecule.read_molecules` gives for the file.

    A CSV without quotes is counted by its lines (10^6 rows in about 0.1 s); everything else is cut into
    records first. Raises InputFileError as `read_molecules` does.
    """
    path = Path(path)
    records = _opened(path).records
    if next(records, None) is None:
        raise InputFileError(f"{path}: the file holds no molecules")
    if _suffix(path) == ".csv" and (n_lines := count_unquoted_lines(path)) is not None:
        return n_lines - 1
    return 1 + sum(1 for _ in records)


def row_texts(path: Path) -> tuple[bytes, Iterator[bytes]]:
    """A table's header and the text of each row, from which changed rows are noticed.

    A CSV without quotes is cut at its lines, 10^6 rows in about half a second. Raises as `count_rows` does.
    """
    path = Path(path)
    records = _opened(path).records
    if _suffix(path) != ".csv":
        return b"", (repr(record).encode() for record in records)
    if (data := unquoted(path)) is not None:
        lines = (line for line in data.split(b"\n") if line.strip(BLANK.encode()))
        return next(lines, b""), lines
    with open_text(path, newline="") as text:
        header = next((line for line in text if line.strip()), "")
    return header.encode(), (repr(record).encode() for record in records)


def read_rows(path: Path, start: int = 0, stop: int | None = None) -> Iterator[Row]:
    """The rows start…stop (from 0, stop not included) of a molecule file, in order, without blank ones.

    Raises InputFileError, see `count_rows`.
    """
    is_empty = True
    for row in _opened(path).rows(start, stop):
        is_empty = False
        if row is not None:
            yield row
    if is_empty and stop != 0:
        raise InputFileError(f"{path}: the file holds no molecules")


def _opened(path: Path) -> RecordFile[str] | RecordFile[list[str]]:
    if not path.is_file():
        raise InputFileError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}")
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


_READERS: dict[str, Callable[[Path], RecordFile[str] | RecordFile[list[str]]]] = {
    ".csv": csv_file,
    ".smi": smi_file,
    ".smiles": smi_file,
    ".sdf": sdf_file,
    ".mol": sdf_file,
    ".xyz": xyz_file,
    ".extxyz": xyz_file,
    ".npz": npz_file,
    ".log": output_file,
    ".out": output_file,
    ".gjf": gaussian_input,
    ".com": gaussian_input,
    ".inp": orca_input,
}
