"""The molecules behind models/relaxer-drugs-small: for testing, for training, and parts of those for
training.

    .venv/bin/python benchmarks/drug_sets.py FOLDER [--test 230] [--test-atoms 40] [--training 6000]

From `smiles_geom_drugs_30k.smi` in $PRERELAX_DATA (default ../shared/data), shuffled. FOLDER/validation.smi
are the first 300 molecules, FOLDER/test.smi the last so many of at most so many atoms, FOLDER/test-small.smi
those of them with at most 28. Of the rows after
validation so many give FOLDER/training.smi, neutral molecules of at most 40 heavy atoms, and
FOLDER/parts.smi, around their BRICS bonds. FOLDER/rare.smi are parts with phosphorus and iodine, which one
molecule in 200 has: all of those in the file, parts with bromine that is made iodine, and a few small
molecules. No molecular graph of the first two or of `druglike_b3lyp_d3bj.sdf.gz` is in the others.
FOLDER/gdb17.npz are the GFN2-xTB minima of `gdb17_gfn2.sdf.gz`. Then (models/relaxer-drugs-small/card.md):

    prerelax data minima FOLDER/rare.smi FOLDER/rare.npz --workers 2
    prerelax data minima FOLDER/parts.smi FOLDER/parts.npz --workers 2
    prerelax data add-starts FOLDER/gdb17.npz FOLDER/gdb17_mmff94.npz

Ids are rows of the file, counted from 1; parts are counted from 100 001, rare ones from 200 001, GDB-17 from
300 001.
"""

import argparse
import gzip
import os
import random
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from prerelax.datasets.graph_split import graph_key
from prerelax.datasets.structures import collect, write_npz
from prerelax.molecules.graph import bonded_matrix
from prerelax.set_making.fragments import parts_around_bonds

DATA = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
MAX_HEAVY_ATOMS = 40
SIZES = (0, 16)
"""Heavy atoms to which parts are grown: two pieces and their bond, of which there are many kinds for the
time, and those with neighbours."""
FIRST_PART = 100_001
FIRST_RARE = 200_001
FIRST_GDB17 = 300_001
MADE_IODINE = 120
SMALL = ["CP(C)(C)=O", "COP(=O)(OC)OC", "COP(C)(=O)OC", "CP(C)C", "CI", "CCI", "ICc1ccccc1", "Ic1ccncc1"]
VALIDATION = 300
SMALL_TEST_ATOMS = 28


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", type=int, default=230)
    parser.add_argument("--test-atoms", type=int, default=40, help="hydrogens included")
    parser.add_argument("--training", type=int, default=6000, help="rows looked at")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rdBase.DisableLog("rdApp.*")
    lines = [line.split()[0] for line in (DATA / "smiles_geom_drugs_30k.smi").read_text().splitlines()]
    rows = list(range(len(lines)))
    random.Random(0).shuffle(rows)
    validation, training = rows[:VALIDATION], rows[VALIDATION:][: arguments.training]
    candidates = reversed(rows[VALIDATION + arguments.training :])
    small = (row for row in candidates if n_atoms(lines[row]) <= arguments.test_atoms)
    test = list(islice(small, arguments.test))
    write(arguments.folder / "validation.smi", [(lines[row], row + 1) for row in validation])
    write(arguments.folder / "test.smi", [(lines[row], row + 1) for row in test])
    few_atoms = [row for row in test if n_atoms(lines[row]) <= SMALL_TEST_ATOMS]
    write(arguments.folder / "test-small.smi", [(lines[row], row + 1) for row in few_atoms])

    seen = graphs_of_drug_like_set()
    seen |= {graph(Chem.AddHs(Chem.MolFromSmiles(lines[row]))) for row in validation + test}
    kept = [(lines[row], row + 1) for row in training if is_new(lines[row], seen)]
    write(arguments.folder / "training.smi", kept)
    molecules = [Chem.MolFromSmiles(smiles) for smiles, _ in kept]
    parts = sorted({part for each in molecules for size in SIZES for part in parts_around_bonds(each, size)})
    random.Random(1).shuffle(parts)
    rare = [*rare_parts(lines[row] for row in rows[VALIDATION:] if row not in test), *SMALL]
    new_rare = [part for part in rare if is_new(part, seen)]
    write(arguments.folder / "rare.smi", [(part, FIRST_RARE + place) for place, part in enumerate(new_rare)])
    new = [part for part in parts if is_new(part, seen)]
    write_gdb17(arguments.folder / "gdb17.npz")
    write(arguments.folder / "parts.smi", [(part, FIRST_PART + place) for place, part in enumerate(new)])


def rare_parts(smiles: Iterable[str]) -> list[str]:
    """Parts with phosphorus or iodine, and small parts with bromine, which is made iodine in them."""
    rare, with_bromine = set(), set()
    for molecule in filter(None, map(Chem.MolFromSmiles, smiles)):
        symbols = {atom.GetSymbol() for atom in molecule.GetAtoms()}
        if symbols & {"P", "I"}:
            rare |= {part for part in parts_around_bonds(molecule) if set(part) & {"P", "p", "I"}}
        elif "Br" in symbols and len(with_bromine) < MADE_IODINE:
            with_bromine |= {p for p in parts_around_bonds(molecule, grown_to=12, largest=16) if "Br" in p}
    return sorted(rare) + [part.replace("Br", "I") for part in sorted(with_bromine)]


def write_gdb17(out: Path) -> None:
    with gzip.open(DATA / "gdb17_gfn2.sdf.gz") as file:
        molecules = list(Chem.ForwardSDMolSupplier(file, removeHs=False))
    rows = (
        (FIRST_GDB17 + place, numbers_of(molecule), molecule.GetConformer().GetPositions())
        for place, molecule in enumerate(molecules)
    )
    write_npz(out, collect(rows))


def numbers_of(molecule: Chem.Mol) -> NDArray[np.int64]:
    return np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])


def n_atoms(smiles: str) -> int:
    return int(Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms())


def is_new(smiles: str, seen: set[int]) -> bool:
    """Whether a molecule is to be trained on; its graph counts as seen from now on."""
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or Chem.GetFormalCharge(molecule) or molecule.GetNumHeavyAtoms() > MAX_HEAVY_ATOMS:
        return False
    key = graph(Chem.AddHs(molecule))
    if key in seen:
        return False
    seen.add(key)
    return True


def graphs_of_drug_like_set() -> set[int]:
    with gzip.open(DATA / "druglike_b3lyp_d3bj.sdf.gz") as file:
        molecules = list(Chem.ForwardSDMolSupplier(file, removeHs=False))
    return {graph(molecule) for molecule in molecules if molecule is not None}


def graph(molecule: Chem.Mol) -> int:
    return graph_key(np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()]), bonded_matrix(molecule))


def write(path: Path, molecules: list[tuple[str, int]]) -> None:
    path.write_text("".join(f"{smiles} {name}\n" for smiles, name in molecules))
    print(f"{path}: {len(molecules)}")


if __name__ == "__main__":
    main()
