"""Bonds and 1-3 distances of drug-like molecules against DFT: MMFF94, GFN2-xTB, and denoised MMFF94 minima.

    .venv/bin/python benchmarks/drug_geometry.py FOLDER [--models relaxer-drugs-small ...] [--molecules 150]

The references are B3LYP-D3BJ minima, `druglike_b3lyp_d3bj.sdf.gz` in $PRERELAX_DATA (default ../shared/data),
of neutral molecules, the first conformer of each. From the reference MMFF94's minimum is reached, from that
GFN2-xTB's (0.03 eV/Å); the denoisers start from MMFF94's as well. Printed as Markdown: the mean absolute
errors over all molecules' pairs, as they are and without what a constant for each kind of pair (elements and,
for bonds, bond order) explains, which is the difference of levels: C–H bonds of this set are 0.008 Å longer
than QM9's. Shards are kept in FOLDER.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from denoiser_confidence import sdf_molecules
from numpy.typing import NDArray
from rdkit import Chem

from prerelax.molecules.graph import bonded_matrix, connectivity_unchanged, mol_from_mapped_smiles
from prerelax.molecules.superposition import rmsd
from prerelax.molecules.topology import topological_distances
from prerelax.records.record import Record
from prerelax.records.shard import read_shard
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.diffuse import diffuse_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard
from prerelax.starts.options import DiffuseOptions

DATA = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
KINDS = {"bonds": 1, "1-3 distances": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="*", default=["relaxer-drugs-small"])
    parser.add_argument("--molecules", type=int, default=150)
    parser.add_argument("--no-gfn2", action="store_true", help="GFN2-xTB takes most of the time")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "reference.extxyz").exists():
        source = DATA / "druglike_b3lyp_d3bj.sdf.gz"
        chosen = sdf_molecules(source, folder / "molecules.sdf", arguments.molecules, set(chemical_symbols))
        embed_shard(chosen, folder / "reference.extxyz", None, 1, 42)
        forcefield_shard(folder / "reference.extxyz", folder / "MMFF94.extxyz", "mmff94", None, "mmff94")
    start = folder / "MMFF94.extxyz"
    methods = ["MMFF94", *arguments.models]
    if not arguments.no_gfn2:
        methods.append("GFN2-xTB")
        gfn2 = Relaxation(engine="tblite", method="GFN2-xTB")
        relax_shard(start, folder / "GFN2-xTB.extxyz", gfn2, named=Named(start="gfn2"))
    for model in arguments.models:
        diffuse_shard(
            start, folder / f"{model}.extxyz", DiffuseOptions(model=model, fallback="none"), "denoised"
        )
    print_errors(folder, methods)


def print_errors(folder: Path, methods: list[str]) -> None:
    """Of the molecules whose bonds every method keeps."""
    found = {name: read_shard(folder / f"{name}.extxyz") for name in ["reference", *methods]}
    rows = [
        row
        for row, _ in enumerate(found["reference"])
        if all(shard[row].proceeds and whole(shard[row]) for shard in found.values())
    ]
    sizes = [len(found["reference"][row].numbers) for row in rows]
    print(f"{len(rows)} of {len(found['reference'])} molecules, {np.median(sizes):.0f} atoms in the median\n")
    print("| geometry | " + " | ".join(f"{kind} | without constants" for kind in KINDS) + " | RMSD, median |")
    print("| --- " * (2 * len(KINDS) + 2) + "|")
    for method in methods:
        pairs = [(found["reference"][row], found[method][row]) for row in rows]
        cells = [value for hops in KINDS.values() for value in errors(pairs, hops)]
        cells.append(float(np.median([rmsd(a.positions, b.positions) for a, b in pairs])))
        print(f"| {method} | " + " | ".join(f"{cell:.4f}" for cell in cells) + " |")


def whole(record: Record) -> bool:
    return connectivity_unchanged(record.smiles, record.numbers, record.positions)


def errors(pairs: list[tuple[Record, Record]], hops: int) -> tuple[float, float]:
    """Mean absolute error in Å of pairs so many bonds apart, and the same without constants by kind."""
    parts = [deviations(reference, record, hops) for reference, record in pairs]
    table = pd.concat(parts)
    raw = float(table["deviation"].abs().mean())
    table["deviation"] -= table.groupby("kind")["deviation"].transform("median")
    return raw, float(table["deviation"].abs().mean())


def deviations(reference: Record, record: Record, hops: int) -> pd.DataFrame:
    mol = mol_from_mapped_smiles(reference.smiles)
    order = Chem.GetAdjacencyMatrix(mol, useBO=True)
    i, j = np.nonzero(np.triu(topological_distances(bonded_matrix(mol))) == hops)
    elements = np.sort(np.stack([record.numbers[i], record.numbers[j]]), axis=0)
    kind = [f"{a}-{b}-{o}" for a, b, o in zip(*elements, order[i, j], strict=True)]
    change = distances(record.positions, i, j) - distances(reference.positions, i, j)
    return pd.DataFrame({"kind": kind, "deviation": change})


def distances(
    positions: NDArray[np.float64], i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.float64]:
    return np.linalg.norm(positions[i] - positions[j], axis=1)


if __name__ == "__main__":
    main()
