"""QM7-X as published (Zenodo 4288677): eight HDF5 files, packed as `1000.xz` … `8000.xz`.

A file has a group for each molecule, in it a group for each structure, in it a data set for each property
(Hoja et al., Scientific Data 2021, 8, 43, and the README beside the files). A structure is called
`Geom-m1-i2-c3-opt`: SMILES 1, stereoisomer 2, conformer 3; its DFTB3+MBD minimum is `opt`, the displacements
from it are `d1` … `d100` (`1` … `100` in the README). `DupMols.dat` lists equilibria that are there twice.
"""

from __future__ import annotations

import lzma
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets.graph_split import graph_key, split_sets
from prerelax.datasets.qm7x import LabelledStructures, write_qm7x
from prerelax.errors import MissingProgramError, UserError
from prerelax.molecules.topology import bonds_from_geometry

if TYPE_CHECKING:
    import h5py

_NAME = re.compile(r"(?:Geom-)?m?(\d+)-i(\d+)-c(\d+)-(?:opt|d?(\d+))")

# fmt: off
PROPERTIES: dict[str, str] = {
    "atNUM": "", "atXYZ": "Å", "sRMSD": "Å", "sMIT": "amu Å²",
    "ePBE0+MBD": "eV", "eDFTB+MBD": "eV", "eAT": "eV", "ePBE0": "eV", "eMBD": "eV", "eTS": "eV", "eNN": "eV",
    "eKIN": "eV", "eNE": "eV", "eEE": "eV", "eXC": "eV", "eX": "eV", "eC": "eV", "eXX": "eV", "eKSE": "eV",
    "KSE": "eV", "eH": "eV", "eL": "eV", "HLgap": "eV",
    "DIP": "e Å", "vDIP": "e Å", "vTQ": "e Å²", "vIQ": "e Å²", "vEQ": "e Å²",
    "mC6": "Hartree bohr⁶", "mPOL": "bohr³", "mTPOL": "bohr³",
    "totFOR": "eV/Å", "vdwFOR": "eV/Å", "pbe0FOR": "eV/Å",
    "hVOL": "bohr³", "hRAT": "", "hCHG": "e", "hDIP": "e bohr", "hVDIP": "e bohr",
    "atC6": "Hartree bohr⁶", "atPOL": "bohr³", "vdwR": "bohr",
}
# fmt: on
"""Every key of the published files, with its unit."""
PER_ATOM = (
    "atNUM",
    "totFOR",
    "vdwFOR",
    "pbe0FOR",
    "hVOL",
    "hRAT",
    "hCHG",
    "hDIP",
    "hVDIP",
    "atC6",
    "atPOL",
    "vdwR",
)
VECTORS = ("atXYZ", "totFOR", "vdwFOR", "pbe0FOR", "hVDIP")
LABELS = ("ePBE0+MBD", "totFOR")
MOST_VALUES = 100_000
"""of a structure's property; a few bytes of HDF5 can stand for any number of them"""


@dataclass(frozen=True, order=True)
class StructureName:
    """Where a structure belongs: SMILES, stereoisomer, conformer, displacement (0: the equilibrium)."""

    smiles: int
    isomer: int
    conformer: int
    displacement: int

    @classmethod
    def read(cls, text: str) -> StructureName:
        """From `Geom-m1-i2-c3-opt`, `…-d45` or `…-45`. Raises ValueError for another form."""
        match = _NAME.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a structure's name such as Geom-m1-i1-c1-opt")
        return cls(*(int(number or 0) for number in match.groups()))

    @property
    def equilibrium(self) -> StructureName:
        """The name of the equilibrium structure that this is, or that it was displaced from."""
        return StructureName(self.smiles, self.isomer, self.conformer, 0)


@dataclass(frozen=True)
class Qm7xStructure:
    """One structure and what was asked of its properties."""

    molecule: str
    name: StructureName
    numbers: NDArray[np.int64]
    """[n_atoms]"""
    positions: NDArray[np.float64]
    """[n_atoms, 3] Å"""
    properties: Mapping[str, NDArray[np.float64]]
    """by key, units as in PROPERTIES: [1] or [k] of the structure, [n_atoms] or [n_atoms, 3] of atoms"""


@dataclass(frozen=True)
class LeftOut:
    """A structure that cannot be used."""

    file: str
    molecule: str
    structure: str
    message: str


def read_duplicates(path: Path) -> frozenset[StructureName]:
    """The equilibria of `DupMols.dat`. Raises UserError where it cannot be read or has another form."""
    try:
        return frozenset(StructureName.read(line) for line in path.read_text().splitlines() if line.strip())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not QM7-X's list of duplicates ({error})") from error


def read_structures(
    path: Path,
    keys: Sequence[str] = LABELS,
    duplicates: frozenset[StructureName] = frozenset(),
    displacements: int | None = None,
) -> Iterator[Qm7xStructure | LeftOut]:
    """The structures of one file, molecule by molecule, equilibria first; with the properties `keys`.

    Those of `duplicates` are passed over, and their displacements; of every equilibrium the first
    `displacements` displacements are read, or all. A structure that lacks a key, or whose
    arrays have wrong shapes or are not numbers, comes as LeftOut. Raises UserError for a file that is absent,
    cut short or no HDF5, for an unknown key, MissingProgramError without h5py.
    """
    unknown = [key for key in keys if key not in PROPERTIES]
    if unknown:
        raise UserError(f"QM7-X has no property {unknown[0]}; it has {', '.join(PROPERTIES)}")
    with _opened(path) as file:
        try:
            for molecule in sorted(file, key=lambda name: (len(name), name)):
                for name, text in _names(file[molecule]):
                    if isinstance(name, str):
                        yield LeftOut(path.name, molecule, text, name)
                    elif name.equilibrium not in duplicates and (
                        displacements is None or name.displacement <= displacements
                    ):
                        yield _structure_or_reason(path, molecule, name, text, file[molecule][text], keys)
        except (OSError, RuntimeError, KeyError, AttributeError) as error:
            raise UserError(f"{path}: damaged; download it again ({_gist(error)})") from error


def _opened(path: Path) -> h5py.File:
    try:
        import h5py
    except ImportError as error:
        raise MissingProgramError("QM7-X's files need h5py: pip install 'prerelax[qm7x]'") from error
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix == ".xz":
        raise UserError(f"{path} is packed; unpack it first: xz -dc {path.name} > {path.stem}.hdf5")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path}: no HDF5 file, or cut short; download it again ({_gist(error)})") from error


def _gist(error: Exception) -> str:
    return " ".join(str(error).split())


def _names(texts: Iterable[str]) -> list[tuple[StructureName | str, str]]:
    """Names as they are read, in order, before those that cannot be, of which the reason is told."""
    read: list[tuple[StructureName, str]] = []
    refused: list[tuple[StructureName | str, str]] = []
    for text in texts:
        try:
            read.append((StructureName.read(text), text))
        except ValueError as error:
            refused.append((str(error), text))
    return [*sorted(read), *refused]


def _structure_or_reason(
    path: Path, molecule: str, name: StructureName, text: str, group: h5py.Group, keys: Sequence[str]
) -> Qm7xStructure | LeftOut:
    try:
        return _structure(molecule, name, group, keys)
    except ValueError as error:
        return LeftOut(path.name, molecule, text, str(error))


def _structure(molecule: str, name: StructureName, group: h5py.Group, keys: Sequence[str]) -> Qm7xStructure:
    """Raises ValueError for what is missing or does not fit."""
    missing = [key for key in ("atNUM", "atXYZ", *keys) if key not in group]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    for key in ("atNUM", "atXYZ", *keys):
        if getattr(group[key], "size", 0) > MOST_VALUES:
            raise ValueError(f"{key} has {group[key].size} values, which is no molecule's")
    numbers = np.asarray(group["atNUM"], dtype=np.int64).reshape(-1)
    values = {key: np.asarray(group[key], dtype=np.float64) for key in ("atXYZ", *keys)}
    for key, array in values.items():
        if key in VECTORS and array.shape != (len(numbers), 3):
            raise ValueError(f"{key} has the shape {array.shape} for {len(numbers)} atoms")
        if key in PER_ATOM and len(array.reshape(-1)) != len(numbers) * (3 if key in VECTORS else 1):
            raise ValueError(f"{key} has the shape {array.shape} for {len(numbers)} atoms")
        # Sets hold single precision, in which larger numbers than these are infinite.
        if array.size == 0 or not (np.abs(array) < np.finfo(np.float32).max).all():
            raise ValueError(f"{key} has values that are no numbers")
    if len(numbers) == 0 or numbers.min() < 1:
        raise ValueError("atNUM has no atoms, or atoms without a number")
    positions = values.pop("atXYZ")
    scalar = {k: v if k in VECTORS else v.reshape(-1) for k, v in values.items()}
    return Qm7xStructure(molecule, name, numbers, positions, scalar)


def convert(
    paths: Sequence[Path],
    out: Path,
    duplicates: frozenset[StructureName] = frozenset(),
    displacements: int | None = None,
    energy: str = "ePBE0+MBD",
    forces: str = "totFOR",
) -> tuple[LabelledStructures, list[LeftOut]]:
    """Write the structures of `paths` with energies and forces as the set `out` (npz of `read_qm7x`).

    Of every equilibrium the first `displacements` displacements, or all. Structures of one molecule share a
    graph: that of its first equilibrium. What cannot be used is returned beside the set. Packed files (.xz)
    are unpacked beside `out` while they are read. Raises UserError as `read_structures`, and where nothing is
    left.
    """
    found: list[Qm7xStructure] = []
    left_out: list[LeftOut] = []
    out.parent.mkdir(parents=True, exist_ok=True)
    for path in paths:
        with _unpacked(path, out.parent) as readable:
            for structure in read_structures(readable, (energy, forces), duplicates, displacements):
                if isinstance(structure, LeftOut):
                    left_out.append(replace(structure, file=path.name))
                else:
                    found.append(structure)
    if not found:
        why = f": {left_out[0].structure} {left_out[0].message}" if left_out else ""
        raise UserError(f"{paths[0]}: no structure can be used{why}")
    whole = _labelled(found, energy, forces)
    write_qm7x(out, whole)
    return whole, left_out


def convert_and_split(
    paths: Sequence[Path],
    folder: Path,
    training: int | float,
    duplicates: frozenset[StructureName] = frozenset(),
    displacements: int | None = None,
) -> tuple[dict[str, tuple[int, int, int]], list[LeftOut]]:
    """The sets of `split_sets` in `folder` from published files, which are read one after the other.

    Returns what `split_sets` does, and what cannot be used. Raises UserError as `convert` and `split_sets`.
    """
    left_out: list[LeftOut] = []
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".parts-") as parts:
        read = [Path(parts) / f"{number}.npz" for number in range(len(paths))]
        for path, part in zip(paths, read, strict=True):
            left_out += convert([path], part, duplicates, displacements)[1]
        return split_sets(read, folder, training), left_out


@contextmanager
def _unpacked(path: Path, folder: Path) -> Iterator[Path]:
    """A file that HDF5 can read: what `path` holds, in `folder` for as long as it is needed, if it is packed.

    Raises UserError for a file that cannot be unpacked.
    """
    if path.suffix != ".xz" or not path.is_file():
        yield path
        return
    with NamedTemporaryFile(dir=folder, prefix=f".{path.stem}-", suffix=".hdf5") as target:
        try:
            with lzma.open(path) as packed:
                shutil.copyfileobj(packed, target, 1 << 20)
        except (EOFError, lzma.LZMAError) as error:
            raise UserError(f"{path}: cut short or damaged; download it again ({_gist(error)})") from error
        target.flush()
        yield Path(target.name)


def _labelled(found: Sequence[Qm7xStructure], energy: str, forces: str) -> LabelledStructures:
    graphs: dict[tuple[str, int], int] = {}
    equilibria: dict[tuple[str, StructureName], int] = {}
    for s in sorted(found, key=lambda s: s.name.displacement > 0):  # displaced atoms have lost their bonds
        if (s.molecule, s.name.smiles) not in graphs:
            bonded = bonds_from_geometry(s.numbers, s.positions)
            graphs[s.molecule, s.name.smiles] = graph_key(s.numbers, bonded)
    for s in found:
        equilibria.setdefault((s.molecule, s.name.equilibrium), len(equilibria))
    return LabelledStructures(
        n_atoms=np.array([len(s.numbers) for s in found], dtype=np.int64),
        numbers=np.concatenate([s.numbers for s in found]).astype(np.uint8),
        positions=np.concatenate([s.positions for s in found]).astype(np.float32),
        energies=np.array([s.properties[energy][0] for s in found]),
        forces=np.concatenate([s.properties[forces] for s in found]).astype(np.float32),
        graph=np.array([graphs[s.molecule, s.name.smiles] for s in found], dtype=np.int64),
        equilibrium=np.array([equilibria[s.molecule, s.name.equilibrium] for s in found], dtype=np.int64),
        displacement=np.array([s.name.displacement for s in found], dtype=np.int64),
    )
