"""What a training leaves out: molecules whose graph is one of the test molecules'.

A graph is needed only where the elements agree, which spares most molecules of a large set the work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets.graph_split import graph_key
from prerelax.datasets.qm7x import LabelledStructures
from prerelax.datasets.structures import Structures, read_npz
from prerelax.molecules.topology import bonds_from_geometry

Composition = bytes
"""Atomic numbers in ascending order."""
Tested = dict[Composition, set[int]]
"""Graphs (`graph_key`) of the molecules that are tested, by their elements."""


def graphs_of(paths: Sequence[Path]) -> Tested:
    """Graphs of the molecules of sets (npz), or of any file of molecules.

    Raises UserError for a file that cannot be read; rows that cannot be used are passed over.
    """
    found: Tested = defaultdict(set)
    for path in paths:
        for numbers, graph in _of_set(path) if path.suffix == ".npz" else _of_rows(path):
            found[_composition(numbers)].add(graph)
    return dict(found)


def without_tested(structures: Structures, tested: Tested) -> Structures:
    """The structures whose graph is none of `tested`, order kept."""
    kept = []
    for row, (_, numbers, positions) in enumerate(structures):
        graphs = tested.get(_composition(numbers))
        if graphs is not None:
            known = None if structures.graphs is None else int(structures.graphs[row])
            graph = graph_key(numbers, bonds_from_geometry(numbers, positions)) if known is None else known
            if graph in graphs:
                continue
        kept.append(row)
    return structures if len(kept) == len(structures) else structures.select(kept)


def labelled_without_tested(structures: LabelledStructures, tested: Tested) -> LabelledStructures:
    """The same of structures with energies and forces.

    Those of a set that does not know their graphs are left out where the elements are a test molecule's:
    displaced geometries do not show their bonds.
    """
    kept = []
    atoms = np.split(structures.numbers, np.cumsum(structures.n_atoms)[:-1])
    for row, numbers in enumerate(atoms):
        graphs = tested.get(_composition(numbers))
        if graphs is None or (structures.graph is not None and int(structures.graph[row]) not in graphs):
            kept.append(row)
    return structures if len(kept) == len(structures) else structures.select(np.array(kept, dtype=np.int64))


def _composition(numbers: NDArray[np.integer]) -> Composition:
    return np.sort(numbers).astype(np.uint8).tobytes()


def _of_set(path: Path) -> Iterator[tuple[NDArray[np.integer], int]]:
    structures = read_npz(path)
    for row, (_, numbers, positions) in enumerate(structures):
        if structures.graphs is not None:
            yield numbers, int(structures.graphs[row])
        else:
            yield numbers, graph_key(numbers, bonds_from_geometry(numbers, positions))


def _of_rows(path: Path) -> Iterable[tuple[NDArray[np.integer], int]]:
    """Of tables and other files, whose bonds RDKit knows."""
    # A training on a machine without RDKit does not come here.
    from prerelax.molecules.graph import bonded_matrix
    from prerelax.molecules.molecule import read_molecules

    for molecule in read_molecules(path):
        if molecule.mol is not None:
            yield molecule.numbers, graph_key(molecule.numbers, bonded_matrix(molecule.mol))
