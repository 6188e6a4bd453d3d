"""Does the energy that a denoiser expects left rank its starts? Against what GFN2-xTB relaxations then gain.

    OMP_NUM_THREADS=1 python benchmarks/energy_left.py FOLDER [--model relaxer-organic]

Random SMILES of QM9 and of GEOM-DRUGS (fewer than 36 atoms) of $PRERELAX_DATA (default ../shared/data), from
MMFF94 minima of one embedding, denoised and relaxed at GFN2-xTB to 0.005 eV/Å by the package's own verbs.
Shards are kept in FOLDER; what is there is not made again. Prints Spearman's r between the columns of the
relaxed shard.
"""

import argparse
import os
import random
import subprocess
import sys
from pathlib import Path

import pandas as pd
from ase.units import kcal, mol
from rdkit import Chem

DATA = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
SEED = 3
SETS = {"q": ("smiles_qm9.smi", 150, 110), "d": ("smiles_geom_drugs_30k.smi", 120, 25)}
"""File, SMILES drawn, and how many of the first are taken."""
FEWER_ATOMS = 36
ABOVE = "kcal/mol above the end"
COLUMNS = ["denoised_energy_left_kcal_mol", "residual_ang", "start_energy_left_kcal_mol", "n_gradients"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="relaxer-organic")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    molecules, table = options.folder / "molecules.smi", options.folder / "gfn2.parquet"
    molecules.write_text("".join(f"{smiles} {name}\n" for name, smiles in drawn().items()))
    gfn2 = ["--engine", "tblite", "--method", "GFN2-xTB", "--optimizer", "bfgs-hessian", "--fmax", "0.005"]
    made = molecules
    for name, verb, *more in (
        ("embedded", "embed"),
        ("mmff94", "forcefield"),
        ("denoised", "diffuse", "--model", options.model),
        ("gfn2", "relax", *gfn2, "--check-minimum", "none"),
    ):
        before, made = made, options.folder / f"{name}.extxyz"
        if not made.exists():
            command = [sys.executable, "-m", "prerelax", verb, str(before), str(made), *more]
            subprocess.run(command, check=True)
    report(pd.read_parquet(table))


def drawn() -> dict[str, str]:
    """SMILES by name."""
    generator, found = random.Random(SEED), {}
    for letter, (file, n_drawn, n) in SETS.items():
        lines = [line.split()[0] for line in (DATA / file).read_text().splitlines() if line.strip()]
        chosen = enumerate(generator.sample(lines, n_drawn))
        small = [(k, s) for k, s in chosen if letter == "q" or n_atoms(s) < FEWER_ATOMS]
        found |= {f"{letter}{k}": smiles for k, smiles in small[:n]}
    return found


def n_atoms(smiles: str) -> int:
    return int(Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms())


def report(rows: pd.DataFrame) -> None:
    rows = rows[(rows.status == "ok") & rows.connectivity_unchanged].copy()
    rows[ABOVE] = (rows.start_energy_ev - rows.energy_ev) * mol / kcal
    print(f"| molecules | n | {ABOVE}, median | expected, median | r with {', '.join(COLUMNS)} |")
    print("| --- " * 5 + "|")
    for name, part in {"all": rows, **{k: rows[rows.id.str.startswith(k)] for k in SETS}}.items():
        medians = [f"{part[column].median():.2f}" for column in (ABOVE, COLUMNS[0])]
        r = part[[ABOVE, *COLUMNS]].corr("spearman")[ABOVE][COLUMNS]
        print(f"| {name} | {len(part)} | {' | '.join(medians)} | {', '.join(f'{each:.2f}' for each in r)} |")


if __name__ == "__main__":
    main()
