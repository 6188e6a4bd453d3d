"""The molecules behind models/relaxer-drugs-small: for testing, for training, and parts of those for
training.

    .venv/bin/python benchmarks/drug_sets.py FOLDER [--test 300] [--training 6000]

From `smiles_geom_drugs_30k.smi` in $PRERELAX_DATA (default ../shared/data), shuffled: FOLDER/test.smi, and of
the next so many FOLDER/training.smi, neutral molecules of at most 40 heavy atoms, and FOLDER/parts.smi,
around their BRICS bonds. Neither holds a molecular graph of test.smi or of `druglike_b3lyp_d3bj.sdf.gz`. Then

    prerelax minima FOLDER/parts.smi FOLDER/parts.npz --workers 2
    prerelax minima FOLDER/training.smi FOLDER/training.npz --workers 2

Ids are rows of the file, counted from 1; parts are counted from 100 001.
"""

import argparse
import gzip
import os
import random
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase

from prerelax.datasets.fragments import parts_around_bonds
from prerelax.datasets.graph_split import graph_key
from prerelax.molecular_graph import bonded_matrix

DATA = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
MAX_HEAVY_ATOMS = 40
FIRST_PART = 100_001


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--training", type=int, default=6000, help="rows looked at")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rdBase.DisableLog("rdApp.*")
    lines = [line.split()[0] for line in (DATA / "smiles_geom_drugs_30k.smi").read_text().splitlines()]
    rows = list(range(len(lines)))
    random.Random(0).shuffle(rows)
    test, training = rows[: arguments.test], rows[arguments.test :][: arguments.training]
    write(arguments.folder / "test.smi", [(lines[row], row + 1) for row in test])

    seen = {graph(Chem.AddHs(Chem.MolFromSmiles(lines[row]))) for row in test} | graphs_of_drug_like_set()
    kept = [(lines[row], row + 1) for row in training if is_new(lines[row], seen)]
    write(arguments.folder / "training.smi", kept)
    parts = sorted({part for smiles, _ in kept for part in parts_around_bonds(Chem.MolFromSmiles(smiles))})
    random.Random(1).shuffle(parts)
    new = [part for part in parts if is_new(part, seen)]
    write(arguments.folder / "parts.smi", [(part, FIRST_PART + place) for place, part in enumerate(new)])


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
