"""GEOM as it is published: conformers of drug-like molecules and of QM9, at GFN2-xTB by CREST.

Axelrod & Gómez-Bombarelli, Sci. Data 2022, 9, 185. Three forms are read: the folder `rdkit_folder` (a pickle
for each molecule), `drugs_crude.msgpack` or `qm9_crude.msgpack`, also as `.tar.gz`, and what the code of EDM
(Hoogeboom et al., ICML 2022) makes of the latter for paper E: `geom_drugs_30.npy`, the 30 conformers of
lowest energy of each molecule.
"""

from __future__ import annotations

import pickle
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets.graph_split import graph_key, held_out
from prerelax.datasets.structures import Structures, collect
from prerelax.errors import UserError
from prerelax.molecules.topology import bonds_from_geometry

LOWEST = 30
"""Conformers of a molecule that paper E keeps."""
PACKED = (".tar.gz", ".tgz", ".tar")
"""How archives of a .msgpack end; Dataverse serves the .tar.gz also unpacked, under the same name."""
MISSING_MSGPACK = "reading .msgpack needs the package msgpack: pip install 'prerelax[geom]'"

Geometry = tuple[NDArray[np.int64], NDArray[np.float64]]
Conformer = Mapping[str, object]
"""numbers [n_atoms] and positions [n_atoms, 3] Å"""


@dataclass(frozen=True)
class GeomMolecule:
    """One molecule of GEOM; without conformers where `message` says why it cannot be read."""

    name: str
    """SMILES, or the name of its file where that cannot be read"""
    conformers: list[Geometry] = field(default_factory=list)
    """those of lowest energy, rising"""
    message: str = ""


def read_geom(source: Path, lowest: int = LOWEST, limit: int | None = None) -> Iterator[GeomMolecule]:
    """The molecules of `source`, at most `limit`, each with its `lowest` conformers.

    `source` is a folder with pickles or one of them, a `.msgpack` (also in a `.tar.gz`, which is read without
    being unpacked), or a `.npy` of EDM's (whose conformers count as molecules, since it does not say which
    belong together). Nothing is executed: pickles that name
    anything but RDKit's molecules and numbers are refused. Molecules that lack keys come with a message
    instead of conformers. Raises UserError for other files and for a file that is cut off, after the
    molecules before the cut.
    """
    if source.is_dir() or source.suffix in (".pickle", ".pkl"):
        found = _read_pickles(source, lowest)
    elif source.name.endswith((".msgpack", *PACKED)):
        found = _read_msgpack(source, lowest)
    elif source.suffix == ".npy":
        found = _read_prepared(source)
    else:
        raise UserError(
            f"{source}: GEOM is a folder of .pickle files, a .msgpack (also as .tar.gz), or EDM's .npy"
        )
    return islice(found, limit)


@dataclass(frozen=True)
class GeomSet:
    """Conformers, one after the other."""

    structures: Structures
    """ids count from 0; `graphs` say which are of one molecule"""
    names: list[str]
    """[n_structures] SMILES of each conformer's molecule, or its file's or conformer's name"""
    left_out: list[GeomMolecule]


def geom_structures(source: Path, lowest: int = LOWEST, limit: int | None = None) -> GeomSet:
    """All conformers of `read_geom`. The graph of a molecule is that of its lowest conformer.

    Raises UserError as `read_geom` does, and where nothing is left.
    """
    left_out: list[GeomMolecule] = []
    geometries: list[Geometry] = []
    names: list[str] = []
    graphs: list[int] = []
    for molecule in read_geom(source, lowest, limit):
        if molecule.message:
            left_out.append(molecule)
        if molecule.conformers:
            numbers, positions = molecule.conformers[0]
            graph, n = graph_key(numbers, bonds_from_geometry(numbers, positions)), len(molecule.conformers)
            geometries += molecule.conformers
            names += [molecule.name] * n
            graphs += [graph] * n
    if not geometries:
        reason = f": {left_out[0].name}: {left_out[0].message}" if left_out else ""
        raise UserError(f"{source} holds no conformers{reason}")
    structures = collect((i, numbers, positions) for i, (numbers, positions) in enumerate(geometries))
    return GeomSet(replace(structures, graphs=np.array(graphs, dtype=np.int64)), names, left_out)


def molecules_of(found: GeomSet, part: Structures, seed: int = 0) -> list[tuple[int, str]]:
    """Id and SMILES of one conformer of each molecular graph of `part`, in random order.

    Empty where the source names no SMILES, as EDM's .npy.
    """
    from rdkit import Chem, rdBase

    assert part.graphs is not None
    order = np.random.default_rng(seed).permutation(len(part))
    _, first = np.unique(part.graphs[order], return_index=True)
    chosen = [int(part.ids[order[row]]) for row in np.sort(first)]
    with rdBase.BlockLogs():
        return [(i, found.names[i]) for i in chosen if Chem.MolFromSmiles(found.names[i]) is not None]


@dataclass(frozen=True)
class Split:
    """A set in two."""

    training: Structures
    test: Structures

    @property
    def leaking(self) -> float:
        """Share of the test structures whose molecule has conformers in training."""
        assert self.training.graphs is not None and self.test.graphs is not None
        return float(np.isin(self.test.graphs, self.training.graphs).mean()) if len(self.test) else 0.0


def split_by_molecule(structures: Structures, test_share: float, seed: int = 0) -> Split:
    """Test structures that are whole molecular graphs: no conformer of theirs is trained on."""
    assert structures.graphs is not None
    held = held_out(structures.graphs, round(test_share * len(structures)), seed)
    return Split(structures.select(np.flatnonzero(~held)), structures.select(np.flatnonzero(held)))


def split_by_conformer(structures: Structures, test_share: float, seed: int = 0) -> Split:
    """Paper E's way (code): structures at random, whatever molecule they are of."""
    order = np.random.default_rng(seed).permutation(len(structures))
    n_test = round(test_share * len(structures))
    return Split(structures.select(np.sort(order[n_test:])), structures.select(np.sort(order[:n_test])))


SPLITS: dict[str, Callable[[Structures, float, int], Split]] = {
    "molecule": split_by_molecule,
    "conformer": split_by_conformer,
}


def _read_msgpack(path: Path, lowest: int) -> Iterator[GeomMolecule]:
    """A stream of maps from SMILES to molecules, a thousand each."""
    try:
        import msgpack
    except ImportError:
        raise UserError(MISSING_MSGPACK) from None
    with ExitStack() as stack:
        file, size = _msgpack_stream(path, stack)
        unpacker, done = msgpack.Unpacker(file, max_buffer_size=0), 0
        cut_off = f"{path} is cut off after {{}} molecules; get it again, or read those with --limit"
        try:
            for part in unpacker:
                if not isinstance(part, dict):
                    raise UserError(f"{path} is not GEOM's: it holds {type(part).__name__}, not molecules")
                for smiles, molecule in part.items():
                    done += 1
                    yield _molecule(str(smiles), molecule, _crude_geometry, lowest)
        except (msgpack.UnpackException, ValueError) as error:
            raise UserError(f"{path} is not MessagePack after {done} molecules: {error}") from error
        except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
            raise UserError(cut_off.format(done)) from error
        # msgpack ends without a word where a file does.
        if unpacker.tell() < size:
            raise UserError(cut_off.format(done))


def _msgpack_stream(path: Path, stack: ExitStack) -> tuple[IO[bytes], int]:
    """The bytes of a .msgpack, and how many; of an archive the first file in it that is one, as a stream."""
    if not path.name.endswith(PACKED):
        return stack.enter_context(_opened(path)), path.stat().st_size
    try:
        archive = stack.enter_context(tarfile.open(path, mode="r|*"))  # noqa: SIM115 (it is one)
        for member in archive:
            if member.isfile() and member.name.endswith(".msgpack"):
                content = archive.extractfile(member)
                assert content is not None
                return stack.enter_context(content), member.size
    except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}; get it again") from error
    raise UserError(f"{path} holds no .msgpack; of rdkit_folder give the unpacked folder")


def _read_prepared(path: Path) -> Iterator[GeomMolecule]:
    """Rows of (conformer, atomic number, x, y, z), as EDM's build_geom_dataset.py writes them."""
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if table.ndim != 2 or table.shape[1] != 5 or table.dtype.kind != "f" or not len(table):
        raise UserError(f"{path} is not EDM's GEOM: its rows are not (conformer, atomic number, x, y, z)")
    ends = [*(np.flatnonzero(np.diff(table[:, 0])) + 1), len(table)]
    begin = 0
    for end in ends:
        rows = table[begin:end]
        begin = end
        yield _molecule(
            f"conformer {rows[0, 0]:.0f}",
            {"conformers": [{"totalenergy": 0.0, "xyz": rows[:, 1:]}]},
            _crude_geometry,
            1,
        )


def _read_pickles(source: Path, lowest: int) -> Iterator[GeomMolecule]:
    paths = sorted(source.rglob("*.pickle")) if source.is_dir() else [source]
    if not paths:
        raise UserError(f"{source} holds no .pickle files; give the folder `drugs` or `qm9` of rdkit_folder")
    for path in paths:
        try:
            with _opened(path) as file:
                content = _GeomUnpickler(file).load()
        except UserError:
            raise
        except Exception as error:  # a damaged or crafted pickle can make the unpickler raise anything
            yield GeomMolecule(path.name, message=f"not read: {error or type(error).__name__}")
            continue
        name = content.get("smiles", path.name) if isinstance(content, dict) else path.name
        yield _molecule(str(name), content, _pickled_geometry, lowest)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _molecule(
    name: str, content: object, geometry: Callable[[Conformer], Geometry], lowest: int
) -> GeomMolecule:
    """The molecule with its lowest conformers, or why it has none."""
    try:
        if not isinstance(content, Mapping):
            raise TypeError(f"it is a {type(content).__name__}")
        conformers = sorted(content["conformers"], key=lambda conformer: float(conformer["totalenergy"]))
        return GeomMolecule(name, [geometry(conformer) for conformer in conformers[:lowest]])
    except KeyError as error:
        return GeomMolecule(name, message=f"the key {error} is missing")
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        return GeomMolecule(name, message=f"not a molecule of GEOM: {error}")


def _crude_geometry(conformer: Conformer) -> Geometry:
    """From rows of (atomic number, x, y, z)."""
    table = np.asarray(conformer["xyz"], dtype=float)
    if table.ndim != 2 or table.shape[1] != 4 or not len(table):
        raise ValueError("xyz is not rows of atomic number, x, y, z")
    return _checked(table[:, 0], table[:, 1:])


def _pickled_geometry(conformer: Conformer) -> Geometry:
    from rdkit import Chem

    pickled = conformer["rd_mol"]
    if not isinstance(pickled, _PickledMolecule):
        raise ValueError("rd_mol is no molecule of RDKit")
    molecule = Chem.Mol(pickled.data)  # type: ignore[call-overload]  # bytes, whatever its stub says
    if molecule.GetNumConformers() != 1:
        raise ValueError(f"rd_mol has {molecule.GetNumConformers()} geometries, not one")
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()], dtype=float)
    return _checked(numbers, molecule.GetConformer().GetPositions())


def _checked(numbers: NDArray[np.float64], positions: NDArray[np.float64]) -> Geometry:
    if not (np.isfinite(numbers).all() and (np.abs(positions) < np.finfo(np.float32).max).all()):
        raise ValueError("coordinates that are not finite")
    if not ((numbers >= 1) & (numbers <= 118) & (numbers == np.round(numbers))).all():
        raise ValueError("atomic numbers that are none")
    return numbers.astype(np.int64), np.array(positions)


class _PickledMolecule:
    """The bytes of a pickled RDKit molecule, which RDKit's own reader takes: data, not code."""

    def __init__(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise pickle.UnpicklingError("an RDKit molecule that is not bytes")
        self.data = data

    def __setstate__(self, state: object) -> None:
        """Properties in Python's hands are not needed."""


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding != "latin1" or not isinstance(text, str):
        raise pickle.UnpicklingError(f"text encoded as {encoding!r}")
    return text.encode("latin1")


class _NumberType:
    """A numpy dtype of a number."""

    def __init__(self, name: str, *_: object) -> None:
        if name not in ("f8", "f4", "i8", "i4"):
            raise pickle.UnpicklingError(f"numpy's type {name!r}, which energies and weights never have")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: object) -> None:
        """Byte order; GEOM's is little-endian, as is every machine's of today."""


def _number(kind: _NumberType, data: bytes) -> float:
    return float(np.frombuffer(data, kind.dtype)[0])


_KNOWN: dict[tuple[str, str], Callable[..., object]] = {
    ("rdkit.Chem.rdchem", "Mol"): _PickledMolecule,
    ("_codecs", "encode"): _latin1,
    ("numpy", "dtype"): _NumberType,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy._core.multiarray", "scalar"): _number,
}


class _GeomUnpickler(pickle.Unpickler):
    """Makes containers, numbers and molecules' bytes; nothing that the pickle names is imported or called."""

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which GEOM's pickles never contain")
        return _KNOWN[module, name]
