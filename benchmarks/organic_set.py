"""The molecules behind models/relaxer-organic: those that it learns from, and those that it is tested on.

    .venv/bin/python benchmarks/organic_set.py FOLDER [--test 600]

Writes FOLDER/training.npz and FOLDER/test.npz from `organic_minima_gfn2.npz` and the 800 of GDB-17 in
`gdb17_gfn2.sdf.gz`, both in $PRERELAX_DATA (default ../shared/data): GFN2-xTB minima with the MMFF94 minimum
that each was reached from. Left out by molecular graph, conformers and stereoisomers included: the sets that
tables of the documentation are measured on (`qm9_val.npz`, `qm9_small_test.npz`, `baker30`,
`benchmark12.smi`, `druglike_b3lyp_d3bj.sdf.gz`, the 230 test molecules of `benchmarks/drug_sets.py`), the
molecules of `examples/` and, where it is there, of the folder `cases` beside the data. FOLDER/test.npz are
whole graphs, as many as give so many minima; FOLDER/test-KIND.npz are the fragments, ions, molecules with
silicon, whole drug-like molecules and molecules of GDB-17 among them.
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from drug_sets import DATA, VALIDATION, graph, graphs_of_drug_like_set, n_atoms, write_gdb17
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from prerelax.datasets.graph_split import graph_key, held_out
from prerelax.datasets.structures import Structures, joined, read_npz, write_npz
from prerelax.molecules.topology import bonds_from_geometry
from prerelax.reading import read_arrays
from prerelax.set_making.force_field_starts import add_mmff94_starts

KINDS = ("fragments", "ions", "silicon", "whole", "gdb17")
TRAINING_OF_DRUG_SETS = 6000
TESTS_OF_DRUG_SETS, ATOMS_OF_DRUG_SETS = 230, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", type=int, default=600)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rdBase.DisableLog("rdApp.*")
    minima = read_npz(DATA / "organic_minima_gfn2.npz")
    gdb17 = with_graphs(minima_of_gdb17())
    whole = joined([with_graphs(minima), gdb17])
    assert whole.graphs is not None
    left_out = set(known_elsewhere())
    kept = whole.select(np.flatnonzero(~np.isin(whole.graphs, list(left_out))))
    assert kept.graphs is not None
    test = held_out(kept.graphs, arguments.test, seed=0)
    for name, rows in (("training", ~test), ("test", test)):
        part = kept.select(np.flatnonzero(rows))
        write_npz(arguments.folder / f"{name}.npz", part)
        print(f"{name}: {len(part)} minima of {len(np.unique(part.graphs))} graphs")
    print(f"left out: {len(whole) - len(kept)} minima")
    tested = kept.select(np.flatnonzero(test))
    kinds = kinds_of(tested)
    for kind in np.unique(kinds):
        part = tested.select(np.flatnonzero(kinds == kind))
        write_npz(arguments.folder / f"test-{KINDS[kind]}.npz", part)
        print(f"test-{KINDS[kind]}: {len(part)}")


def kinds_of(structures: Structures) -> NDArray[np.int64]:
    """[n] the file's kind of each, the last of KINDS for GDB-17."""
    arrays = read_arrays(DATA / "organic_minima_gfn2.npz")
    kind = dict(zip(arrays["ids"].tolist(), arrays["kind"].tolist(), strict=True))
    return np.array([kind.get(each, len(KINDS) - 1) for each in structures.ids.tolist()])


def minima_of_gdb17() -> Structures:
    with tempfile.TemporaryDirectory() as folder:
        bare, started = Path(folder) / "gdb17.npz", Path(folder) / "mmff94.npz"
        write_gdb17(bare)
        add_mmff94_starts(bare, started)
        return read_npz(started)


def with_graphs(structures: Structures) -> Structures:
    """The same with graphs that one version of RDKit made from the geometries."""
    return Structures(**{**vars(structures), "graphs": np.array(list(graphs_of(structures)))})


def graphs_of(structures: Structures) -> Iterator[int]:
    for _, numbers, positions in structures:
        yield graph_key(numbers, bonds_from_geometry(numbers, positions))


def known_elsewhere() -> Iterator[int]:
    """Graphs of all molecules that somebody measures on."""
    yield from graphs_of_drug_like_set()
    for smiles in all_smiles():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is not None:
            yield graph(Chem.AddHs(molecule))
    for name in ("qm9_val.npz", "qm9_small_test.npz"):
        yield from graphs_of(read_npz(DATA / name))
    from ase.io import read

    for path in sorted(DATA.glob("baker30/*.xyz")):
        atoms = read(path)
        yield graph_key(atoms.numbers, bonds_from_geometry(atoms.numbers, atoms.positions))


def all_smiles() -> Iterator[str]:
    yield from (line.split()[0] for line in (DATA / "benchmark12.smi").read_text().splitlines() if line)
    yield from tests_of_drug_sets()
    here = Path(__file__).resolve().parents[1] / "examples"
    for path in (*sorted(here.glob("*.csv")), *sorted((DATA.parent / "cases").glob("*.csv"))):
        with path.open() as file:
            for row in csv.DictReader(file):
                yield row.get("smiles") or ""


def tests_of_drug_sets() -> Iterator[str]:
    """The test molecules of `drug_sets.py`, drawn as there."""
    lines = [line.split()[0] for line in (DATA / "smiles_geom_drugs_30k.smi").read_text().splitlines()]
    rows = list(range(len(lines)))
    random.Random(0).shuffle(rows)
    candidates = reversed(rows[VALIDATION + TRAINING_OF_DRUG_SETS :])
    small = (lines[row] for row in candidates if n_atoms(lines[row]) <= ATOMS_OF_DRUG_SETS)
    return islice(small, TESTS_OF_DRUG_SETS)


if __name__ == "__main__":
    main()
