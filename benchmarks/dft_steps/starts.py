"""How far starts embedded from SMILES are from their own DFT minima.

    .venv/bin/python benchmarks/dft_steps/starts.py [--molecules 16] [--cores N] [--table]

The smallest molecules of `qm9_small_test.npz` ($PRERELAX_DATA, default ../shared/data), embedded from SMILES
with QM9's stereochemistry, and each start relaxed at B3LYP/6-31G(2df,p) to 0.01 eV/Å. The reference is the
minimum that the start itself leads to, never QM9's conformer. Everything lies in results/ and is resumed;
--table prints what there is, also for other campaigns (--campaign NAME).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from ase.units import kcal, mol
from campaigns import DATA, OUT, markdown, run_campaign
from rdkit import Chem

from prerelax.datasets.structures import read_npz
from prerelax.diffusion.evaluation import compare
from prerelax.molecules.perception import perceived_molecule
from prerelax.records.record import Record
from prerelax.records.shard import read_shard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", type=int, default=16)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--campaign", default="dft-starts")
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        write_smiles(arguments.molecules)
        run_campaign("starts", arguments.cores)
    print(markdown(starts_table(Path(f"results/{arguments.campaign}/relaxed"))))


def write_smiles(n: int) -> None:
    """The `n` smallest molecules as SMILES with the stereochemistry of their QM9 geometry."""
    structures = read_npz(DATA / "qm9_small_test.npz")
    lines = ["id,smiles"]
    for row in np.lexsort((structures.ids, structures.n_atoms))[:n]:
        atoms = structures.atoms_of(int(row))
        numbers, positions = structures.numbers[atoms], structures.positions[atoms]
        molecule = perceived_molecule(numbers.astype(int), positions.astype(float), 0, 1)
        lines.append(f"gdb{structures.ids[row]},{Chem.MolToSmiles(Chem.RemoveHs(molecule))}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "starts-molecules.csv").write_text("\n".join(lines) + "\n")


def starts_table(relaxed: Path) -> pd.DataFrame:
    """One line per target and start."""
    lines = []
    for folder in sorted(path for path in relaxed.glob("*/*") if path.is_dir()):
        rows = [r for shard in sorted(folder.glob("*.extxyz")) for r in read_shard(shard) if r.status == "ok"]
        if rows:
            lines.append({"start": folder.name, "target": folder.parent.name, **of_start(rows)})
    return pd.DataFrame(lines).set_index("start")


def of_start(rows: list[Record]) -> dict[str, str]:
    """Distances and energies of the start geometries from the minima."""
    found = compare(
        [r.numbers for r in rows], [r.positions for r in rows], [np.asarray(r.start_positions) for r in rows]
    )
    above = [(r.start_energy_ev - r.energy_ev) / (kcal / mol) for r in rows]
    return {
        "molecules": str(len(rows)),
        "bonds / Å": f"{found.bond_errors_ang.mean():.4f}",
        "1-3 / Å": f"{found.angle_errors_ang.mean():.4f}",
        "median RMSD / Å": f"{np.median(found.rmsd_ang):.3f}",
        "median above minimum / kcal/mol": f"{np.median(above):.3f}",
        "gradients": f"{np.median([r.n_gradients for r in rows]):g}",
    }


if __name__ == "__main__":
    main()
