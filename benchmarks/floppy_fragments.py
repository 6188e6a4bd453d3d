"""Gradients to the minimum of floppy fragments at GFN2-xTB: `two-level` guided by GFN1-xTB, and geomeTRIC.

Fragments of drug-like molecules, at most 9 heavy atoms, at least 3 rotatable bonds, from their MMFF94 minima,
drawn by a seed. Counted: gradients until the energy is within 0.05 kcal/mol of the optimizer's own end at
0.001 eV/Å, and to a largest force of 0.03 eV/Å, with how high that end lies.

    python benchmarks/floppy_fragments.py --molecules 30 --optimizer two-level geometric
"""

import argparse
import os
from pathlib import Path

import numpy as np
from ase.units import kcal, mol
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from prerelax.relaxation.molecule import relax_molecule
from prerelax.relaxation.settings import Relaxation

DATA = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
TIGHT_EV_ANG = 0.001
NEAR_KCAL_MOL = 0.05
STEPS = 60

Molecule = tuple[str, NDArray[np.int64], NDArray[np.float64]]


def floppy(n: int, seed: int) -> list[Molecule]:
    """SMILES, atomic numbers [n_atoms] and MMFF94 positions [n_atoms, 3] Å of `n` fragments."""
    arrays = np.load(DATA / "organic_minima_gfn2.npz", allow_pickle=False)
    ends = np.cumsum(arrays["n_atoms"])
    chosen = []
    for row, (kind, text) in enumerate(zip(arrays["kind"], arrays["smiles"], strict=True)):
        smiles = text.decode() if isinstance(text, bytes) else str(text)
        molecule = Chem.MolFromSmiles(smiles)
        if kind != 0 or molecule is None or molecule.GetNumHeavyAtoms() > 9:
            continue
        loose = rdMolDescriptors.NumRotatableBondsOptions.NonStrict
        if rdMolDescriptors.CalcNumRotatableBonds(molecule, loose) >= 3:
            chosen.append((row, smiles))
    order = np.random.default_rng(seed).permutation(len(chosen))[:n]
    molecules = []
    for row, smiles in (chosen[i] for i in order):
        atoms = slice(ends[row] - arrays["n_atoms"][row], ends[row])
        numbers = arrays["numbers"][atoms].astype(np.int64)
        molecules.append((smiles, numbers, arrays["positions_mmff94"][atoms].astype(float)))
    return molecules


def counts(molecule: Molecule, optimizer: str) -> tuple[int, int, float]:
    """Gradients to within NEAR_KCAL_MOL of the end and to 0.03 eV/Å, and how high that lies, kcal/mol."""
    _, numbers, positions = molecule
    relaxation = Relaxation(
        engine="tblite",
        method="GFN2-xTB",
        optimizer=optimizer,
        cheap_level="gfn1",
        fmax=TIGHT_EV_ANG,
        max_steps=STEPS,
    )
    path = relax_molecule(numbers, positions, 0, 1, relaxation).path
    heights = np.array([evaluation.energy_ev for evaluation in path]) * mol / kcal
    heights -= heights.min()
    forces = np.array([evaluation.fmax_ev_ang for evaluation in path])
    stop = int(np.argmax(forces < 0.03)) if (forces < 0.03).any() else len(path) - 1
    return int(np.argmax(heights < NEAR_KCAL_MOL)) + 1, stop + 1, float(heights[stop])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--molecules", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--optimizer", nargs="+", default=["two-level", "geometric"])
    options = parser.parse_args()
    molecules = floppy(options.molecules, options.seed)
    found: dict[str, list[tuple[int, int, float]]] = {name: [] for name in options.optimizer}
    for molecule in molecules:
        for name, rows in found.items():
            rows.append(counts(molecule, name))
        said = "  ".join(f"{name} {rows[-1][0]}" for name, rows in found.items())
        print(f"{molecule[0]:32s} {said}", flush=True)
    print(
        "| optimizer | sum | median | 90th percentile | most | sum to 0.03 eV/Å | ends > 0.1 kcal/mol high |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, rows in found.items():
        near = np.array([row[0] for row in rows])
        high = sum(row[2] > 0.1 for row in rows)
        print(
            f"| `{name}` | {near.sum()} | {np.median(near):g} | {np.percentile(near, 90):.0f} | {near.max()} "
            f"| {sum(row[1] for row in rows)} | {high} of {len(rows)} |"
        )


if __name__ == "__main__":
    main()
