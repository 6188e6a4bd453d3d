"""Small molecules from which two-level learns how DFT, by its kind, differs from a cheap level.

    .venv/bin/python benchmarks/pilot_of_kinds.py draw FOLDER/pilot.smi [--count 90] [--max-heavy-atoms 6]

Candidates are molecules of QM9 and parts of drug-like ones. Those are chosen that cover most atoms, with
their bonds, for their cost (`prerelax.set_making.pilot.cover`); rarer elements and ions are there by hand. No
molecule of qm9_val.npz, qm9_small_test.npz, Baker's set, benchmark12.smi and ../shared/cases is among them,
by graph. Then, for B3LYP (hybrid), PBE (gga) and HF (hartree-fock):

    prerelax embed FOLDER/pilot.smi FOLDER/rdkit.extxyz
    prerelax forcefield FOLDER/rdkit.extxyz FOLDER/mmff94.extxyz
    prerelax relax FOLDER/mmff94.extxyz FOLDER/b3lyp.extxyz --engine pyscf --method B3LYP --basis def2-SVP \
        --check-minimum none --trajectory FOLDER/b3lyp-paths.extxyz
    .venv/bin/python benchmarks/pilot_of_kinds.py fit FOLDER/b3lyp-paths.extxyz \
        src/prerelax/relaxation/differences/hybrid-gfn1.json

The shipped ones come of relaxations by two-level version 12, which expected nothing; today's go other ways.
"""

import argparse
import csv
import os
from collections.abc import Iterable
from pathlib import Path

import ase.io
import numpy as np
from rdkit import Chem, RDLogger

from prerelax.datasets.graph_split import graph_key
from prerelax.datasets.left_out import graphs_of
from prerelax.molecules.graph import bonded_matrix
from prerelax.molecules.topology import bonds_from_geometry
from prerelax.set_making.fragments import parts_around_bonds
from prerelax.set_making.guide import learn_difference
from prerelax.set_making.pilot import cover, surroundings

DATA = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
N_SAMPLED = 1500
"""QM9 molecules, and as many drug-like ones: what is covered."""
BY_HAND = [
    "C[NH3+]", "C[NH2+]C", "C[N+](C)(C)C", "CC(=O)[O-]", "C[O-]", "NC(N)=[NH2+]", "CS(=O)(=O)[O-]",
    "C[SiH3]", "C[Si](C)(C)O", "CB(O)O", "CP(C)C", "CP(C)(C)=O", "COP(=O)(O)O", "CS(C)(=O)=O", "CS(N)(=O)=O",
    "CS(C)=O", "CSC", "CSSC", "CS", "c1ccsc1", "CC(N)=S", "CF", "CC(F)(F)F", "CCCl", "C=CCl", "CCBr", "C=CBr",
    "CI", "C=CI", "C[N+](=O)[O-]", "CN=[N+]=[N-]", "c1ccccc1", "c1ccncc1",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = parser.add_subparsers(required=True)
    drawing = tasks.add_parser("draw")
    drawing.add_argument("out", type=Path)
    drawing.add_argument("--count", type=int, default=90, help="with those by hand")
    drawing.add_argument("--max-heavy-atoms", type=int, default=6)
    drawing.set_defaults(task=draw)
    fitting = tasks.add_parser("fit")
    fitting.add_argument("paths", nargs="+", type=Path)
    fitting.add_argument("out", type=Path)
    fitting.set_defaults(task=lambda given: learn_difference(given.paths, given.out, from_kind=False))
    arguments = parser.parse_args()
    arguments.task(arguments)


def draw(arguments: argparse.Namespace) -> None:
    RDLogger.DisableLog("rdApp.*")
    rng = np.random.default_rng(1)
    qm9, drugs = (
        (DATA / name).read_text().split() for name in ("smiles_qm9.smi", "smiles_geom_drugs_30k.smi")
    )
    largest = arguments.max_heavy_atoms
    sampled = [
        Chem.MolFromSmiles(smiles[row])
        for smiles in (qm9, drugs)
        for row in rng.permutation(len(smiles))[:N_SAMPLED]
    ]
    candidates = {smiles for smiles in qm9 if 3 <= Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() <= largest}
    for molecule in sampled[N_SAMPLED:]:
        candidates.update(surroundings(molecule, largest))
        candidates.update(parts_around_bonds(molecule, 0, largest))
    tested = tested_graphs()
    parts = [part for part in sorted(candidates) if is_ordinary(part) and graph(part) not in tested]
    by_hand = [part for part in BY_HAND if graph(part) not in tested]
    chosen = cover([part for part in parts if part not in by_hand], sampled, arguments.count - len(by_hand))
    lines = [f"{part} pilot-{row}\n" for row, part in enumerate([*by_hand, *chosen])]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("".join(lines))


def is_ordinary(smiles: str) -> bool:
    molecule = Chem.MolFromSmiles(smiles)
    return (
        molecule is not None
        and "." not in smiles
        and Chem.GetFormalCharge(molecule) == 0
        and not any(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())
    )


def graph(smiles: str) -> int:
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    return graph_key(np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()]), bonded_matrix(molecule))


def tested_graphs() -> set[int]:
    """Of all molecules on which two-level is measured."""
    found = set().union(*graphs_of([DATA / "qm9_val.npz", DATA / "qm9_small_test.npz"]).values())
    smiles = [line.split()[0] for line in (DATA / "benchmark12.smi").read_text().splitlines() if line]
    for table in (DATA.parent / "cases").glob("*.csv"):
        smiles += [row["smiles"] for row in csv.DictReader(table.open()) if row.get("smiles")]
    found.update(graph(each) for each in smiles if Chem.MolFromSmiles(each) is not None)
    for path in _geometries(DATA / "baker30"):
        atoms = ase.io.read(path)
        found.add(graph_key(atoms.numbers, bonds_from_geometry(atoms.numbers, atoms.positions)))
    return found


def _geometries(folder: Path) -> Iterable[Path]:
    return sorted(folder.rglob("*.xyz"))


if __name__ == "__main__":
    main()
