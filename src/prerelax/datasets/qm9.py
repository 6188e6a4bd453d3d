"""QM9 in its published formats (Ramakrishnan et al., Sci. Data 2014), its consistency filter and the papers'
splits.

Molecules are numbered by their gdb9 number (1…133 885), which all formats share.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets.structures import collect, write_npz
from prerelax.errors import UserError

Molecule = tuple[int, NDArray[np.uint8], NDArray[np.float32]]
"""gdb9 number, atomic numbers [n], positions [n, 3] Å"""

ATOMIC_NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9}
LARGEST_FILE = 1_000_000
"""bytes; a QM9 file has about 3 000"""
FILE_NAME = re.compile(r"dsgdb9nsd_(\d{6})\.xyz$")


def parse_number(text: str) -> float:
    """A number as QM9 writes it: some files have exponents like `1.23*^-5` (Mathematica's form)."""
    return float(text.replace("*^", "e"))


def parse_published_xyz(text: str, source: str) -> Molecule:
    """Parse one `dsgdb9nsd_*.xyz`: atom count; `gdb id` and properties; atoms with Mulliken charges; and more
    lines.

    The number comes from the second line, or from the file name where a re-export has plain comments.
    Raises ValueError naming `source` and the line.
    """
    lines = text.splitlines()
    try:
        count = int(lines[0])
    except (IndexError, ValueError) as error:
        raise ValueError(f"{source}, line 1: not an atom count") from error
    if count < 1 or len(lines) < count + 2:
        raise ValueError(
            f"{source}: {count} atoms announced, {max(len(lines) - 2, 0)} lines follow the header"
        )
    numbers = np.empty(count, dtype=np.uint8)
    positions = np.empty((count, 3), dtype=np.float32)
    for row in range(count):
        fields = lines[row + 2].split()
        try:
            numbers[row] = ATOMIC_NUMBERS[fields[0]]
            positions[row] = [parse_number(field) for field in fields[1:4]]
        except (IndexError, KeyError, ValueError) as error:
            raise ValueError(f"{source}, line {row + 3}: not an atom of QM9: {lines[row + 2]!r}") from error
    if not np.isfinite(positions).all():
        raise ValueError(f"{source}: coordinates that are not finite")
    return _gdb_number(lines[1], source), numbers, positions


def _gdb_number(header: str, source: str) -> int:
    in_header = re.match(r"\s*gdb[\s_]*(\d+)", header)
    in_name = FILE_NAME.search(source)
    found = in_header or in_name
    if found is None:
        raise ValueError(f"{source}: neither line 2 nor the file name gives the gdb9 number")
    return int(found[1])


def read_published_xyz(path: Path) -> Iterator[Molecule]:
    """Molecules of a folder of `dsgdb9nsd_*.xyz`, in order of their numbers, or of a tar archive of them.

    An archive (`.tar.bz2` as published; any compression) is read as a stream: nothing is written to disk,
    links and other special members are ignored, and a member larger than a megabyte is refused with
    ValueError.
    """
    if path.is_dir():
        for file in sorted(path.glob("dsgdb9nsd_*.xyz")):
            yield parse_published_xyz(file.read_text(), str(file))
        return
    with tarfile.open(path, mode="r|*") as archive:
        for member in archive:
            if not (member.isfile() and FILE_NAME.search(member.name)):
                continue
            if member.size > LARGEST_FILE:
                raise ValueError(f"{path}: {member.name} has {member.size} bytes, too many for a QM9 file")
            content = archive.extractfile(member)
            assert content is not None
            yield parse_published_xyz(content.read().decode(), f"{path}:{member.name}")


def read_sdf(path: Path) -> Iterator[Molecule]:
    """Molecules of an SDF of V2000 records such as gdb9.sdf, titles `gdb_<number>`.

    Where a title has no number, the record's position in the file (from 1) is the id. Raises ValueError
    naming the record for anything that is not a whole V2000 record, such as a truncated last one.
    """
    record: list[str] = []
    index = 1
    with path.open() as lines:
        for line in lines:
            record.append(line.rstrip("\r\n"))
            if record[-1] == "$$$$":
                yield _parse_sdf_record(record, index, path)
                record, index = [], index + 1
    if any(line.strip() for line in record):
        raise ValueError(f"{path}, record {index}: ends without $$$$")


def _parse_sdf_record(record: list[str], index: int, path: Path) -> Molecule:
    try:
        counts = record[3]
        if "V2000" not in counts:
            raise ValueError(f"counts line without V2000: {counts!r}")
        n_atoms = int(counts[:3])
        atoms = record[4 : 4 + n_atoms]
        if n_atoms < 1 or len(atoms) != n_atoms:
            raise ValueError(f"{n_atoms} atoms announced")
        numbers = np.array([ATOMIC_NUMBERS[line[31:34].strip()] for line in atoms], dtype=np.uint8)
        fields = [[line[:10], line[10:20], line[20:30]] for line in atoms]
        positions = np.array([[float(value) for value in line] for line in fields], dtype=np.float32)
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError(f"{path}, record {index} ({record[0]!r}): {error}") from error
    title = re.search(r"gdb[\s_]*(\d+)", record[0])
    return (int(title[1]) if title else index), numbers, positions


def read_inconsistent(path: Path) -> set[int]:
    """gdb9 numbers of the published uncharacterized.txt (3 054 molecules that failed the consistency check).

    Raises ValueError when the file lists none.
    """
    rows = [line.split() for line in path.read_text().splitlines()]
    # The list has a header and a footer of text; its rows are: number, SMILES, SMILES, ...
    numbers = {int(row[0]) for row in rows if len(row) > 1 and row[0].isdigit()}
    if not numbers:
        raise ValueError(f"{path} lists no molecule")
    return numbers


N_CONSISTENT = 130_831
"""Molecules of QM9 that passed the consistency check."""
N_TRAIN = {"edm": 100_000, "morered": 55_000}
N_VALIDATION = {"morered": 10_000}
TEST_FRACTION = {"edm": 0.1}


def make_sets(
    folder: Path, archive: Path, inconsistent: Path, paper: str, limit: int | None = None
) -> dict[str, int]:
    """Write `FOLDER/training.npz`, `validation.npz` and `test.npz` of a paper's split; how many are in each.

    Each is in the random order of the split, so that its first molecules are a sample. With `limit` only the
    first so many molecules of the archive are split, in the paper's proportions, to try things out. Raises
    UserError for files that cannot be read.
    """
    try:
        left_out = read_inconsistent(inconsistent)
        consistent = (molecule for molecule in read_published_xyz(archive) if molecule[0] not in left_out)
        structures = collect(islice(consistent, limit))
        structures = structures.select(np.argsort(structures.ids))  # the splits count in gdb9 order
        if limit is None and len(structures) != N_CONSISTENT:
            raise ValueError(f"{len(structures)} molecules pass the consistency check, not {N_CONSISTENT}")
        parts = split(len(structures), paper) if limit is None else _in_proportion(len(structures), paper)
    except (EOFError, OSError, UnicodeDecodeError, ValueError, tarfile.TarError) as error:
        raise UserError(f"QM9: {error}") from error
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in parts.items():
        write_npz(folder / f"{FILES[name]}.npz", structures.select(rows))
    return {FILES[name]: len(rows) for name, rows in parts.items()}


FILES = {"train": "training", "valid": "validation", "test": "test"}


def _in_proportion(n_molecules: int, paper: str) -> dict[str, NDArray[np.int64]]:
    """A part of QM9 split as the whole of it is, each part with a molecule at least."""
    sizes = [len(rows) for rows in split(N_CONSISTENT, paper).values()]
    ends = np.cumsum(sizes)[:2] * n_molecules // N_CONSISTENT
    ends = np.clip(ends, [1, 2], [n_molecules - 2, n_molecules - 1])
    parts = np.split(np.random.RandomState(0).permutation(n_molecules), ends)
    return dict(zip(FILES, parts, strict=True))


def split(n_molecules: int, paper: str, seed: int = 0) -> dict[str, NDArray[np.int64]]:
    """Rows of `train`, `valid` and `test`, for a set in the order of gdb9 numbers after the consistency
    filter.

    edm: 100 000 train, a tenth test, the rest validation, of numpy's legacy permutation with seed 0, as the
    published code (data/prepare/qm9.py) draws it. morered: 55 000 train, 10 000 validation, the rest test.
    Raises ValueError for an unknown name or a set that is too small.
    """
    if paper not in N_TRAIN:
        raise ValueError(f"unknown split {paper!r}; known: random, {', '.join(N_TRAIN)}")
    n_train = N_TRAIN[paper]
    if paper == "edm":
        n_valid = n_molecules - n_train - int(TEST_FRACTION[paper] * n_molecules)
    else:
        n_valid = N_VALIDATION[paper]
    if n_molecules < n_train + n_valid or n_valid < 0:
        raise ValueError(f"the {paper} split needs the whole of QM9, not {n_molecules} molecules")
    # The legacy generator is part of the published split.
    order = np.random.RandomState(seed).permutation(n_molecules)
    train, valid, test = np.split(order, [n_train, n_train + n_valid])
    return {"train": train, "valid": valid, "test": test}
