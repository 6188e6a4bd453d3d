"""What plain BFGS spends its steps on at GFN2-xTB: starts made of parts of the error.

    .venv/bin/python benchmarks/drug_steps.py FOLDER MOLECULES.smi [--model MODEL] [--molecules 20]

Each molecule is embedded, minimised with MMFF94, denoised by the model, and relaxed to its minimum
(0.003 eV/Å). From there back: the minimum with the torsions about single bonds outside rings of another
geometry, that geometry with the minimum's torsions, and straight-line parts of the way back to it. Printed as
Markdown: BFGS steps to 0.03 eV/Å, what is saved against MMFF94's minimum, and the energy above the minimum.
Shards are kept in FOLDER; called again, only what is missing is relaxed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from prerelax.comparison.pairs import KCAL_MOL
from prerelax.engines import Level
from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.molecules.superposition import superimposed
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.diffuse import diffuse_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard
from prerelax.starts.options import DiffuseOptions

GFN2 = Level(engine="tblite", method="GFN2-xTB")
BASELINE, DENOISED, MINIMUM = "mmff94", "denoised", "minimum"
Positions = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("molecules_file", metavar="MOLECULES.smi", type=Path)
    parser.add_argument("--model", default="relaxer-drugs-small")
    parser.add_argument("--molecules", type=int, default=20)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    embed_shard(arguments.molecules_file, folder / "rdkit.extxyz", slice(0, arguments.molecules), 1, 42)
    mmff94, minimum = folder / f"{BASELINE}.extxyz", folder / f"{MINIMUM}.extxyz"
    forcefield_shard(folder / "rdkit.extxyz", mmff94, "mmff94", None, BASELINE)
    options = DiffuseOptions(model=arguments.model, fallback="none")
    diffuse_shard(mmff94, folder / f"{DENOISED}.extxyz", options, DENOISED)
    tight = Relaxation(**GFN2.model_dump(), optimizer="bfgs-hessian", fmax=0.003)
    relax_shard(mmff94, minimum, tight, named=Named(target=MINIMUM))

    geometries = {name: read_shard(folder / f"{name}.extxyz") for name in (BASELINE, DENOISED, MINIMUM)}
    made = [BASELINE, DENOISED]
    for part, at in PARTS.items():
        for source in (BASELINE, DENOISED):
            name = f"{source}: {part}"
            rows = [
                replace(row, positions=at(row, row.positions, minimum.positions), start=file_name(name))
                if row.proceeds and minimum.proceeds
                else row
                for row, minimum in zip(geometries[source], geometries[MINIMUM], strict=True)
            ]
            write_shard(folder / f"{file_name(name)}.extxyz", rows)
            made.append(name)
    plain = Relaxation(**GFN2.model_dump(), optimizer="bfgs")
    for name in made:
        path = folder / f"{file_name(name)}.extxyz"
        relax_shard(path, relaxed_path(path), plain, named=Named(target="gfn2"))
    print_table(folder, made, geometries[MINIMUM])


def torsions_of(molecule: Record, torsions: Positions, rest: Positions) -> Positions:
    """`rest` [n_atoms, 3] Å with the torsions about single bonds outside rings of the geometry `torsions`."""
    mol = mol_from_mapped_smiles(molecule.smiles, rest)
    given = mol_from_mapped_smiles(molecule.smiles, torsions).GetConformer()
    turned = mol.GetConformer()
    for bond in mol.GetBonds():
        if bond.IsInRing() or bond.GetBondType() != Chem.BondType.SINGLE:
            continue
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        outer = [
            [n.GetIdx() for n in end.GetNeighbors() if n.GetIdx() != other.GetIdx()]
            for end, other in (ends, ends[::-1])
        ]
        if all(outer):
            atoms = outer[0][0], ends[0].GetIdx(), ends[1].GetIdx(), outer[1][0]
            rdMolTransforms.SetDihedralDeg(turned, *atoms, rdMolTransforms.GetDihedralDeg(given, *atoms))
    return np.array(turned.GetPositions())


def part_of_way(share: float) -> Callable[[Record, Positions, Positions], Positions]:
    """Geometry [n_atoms, 3] Å at `share` of the way from the minimum to the superimposed source."""

    def between(_: Record, source: Positions, minimum: Positions) -> Positions:
        return minimum + share * (superimposed(source, minimum) - minimum)

    return between


PARTS: dict[str, Callable[[Record, Positions, Positions], Positions]] = {
    "the minimum's torsions": lambda row, source, minimum: torsions_of(row, minimum, source),
    "all but its torsions the minimum's": lambda row, source, minimum: torsions_of(row, source, minimum),
    "half of the way": part_of_way(0.5),
    "a quarter": part_of_way(0.25),
    "a tenth": part_of_way(0.1),
}
"""Of molecule, source and minimum, both [n_atoms, 3] Å: the geometry with a part of the source's error."""


def print_table(folder: Path, names: list[str], minima: list[Record]) -> None:
    """Of the molecules that every geometry was relaxed of."""
    relaxed = {name: read_shard(relaxed_path(folder / f"{file_name(name)}.extxyz")) for name in names}
    rows = [row for row, _ in enumerate(minima) if all(shard[row].converged for shard in relaxed.values())]
    print(f"{len(rows)} of {len(minima)} molecules\n")
    print("| start | BFGS steps, median | saved, median (quartiles) | above the minimum / kcal/mol, median |")
    print("| --- | --- | --- | --- |")
    baseline = np.array([relaxed[BASELINE][row].n_steps for row in rows])
    for name in names:
        found = [relaxed[name][row] for row in rows]
        steps = np.array([row.n_steps for row in found])
        low, saved, high = np.percentile(100 * (1 - steps / baseline), [25, 50, 75])
        ends = [minima[row].energy_ev for row in rows]
        above = np.array([row.start_energy_ev for row in found], float) - np.array(ends, float)
        energy = np.median(above) / KCAL_MOL
        print(f"| {name} | {np.median(steps):g} | {saved:.0f} % ({low:.0f}–{high:.0f}) | {energy:.2f} |")


def file_name(name: str) -> str:
    return name.replace(": ", "_").replace("'", "").replace(" ", "-")


def relaxed_path(start: Path) -> Path:
    return start.with_name(f"{start.stem}_relaxed.extxyz")


if __name__ == "__main__":
    main()
