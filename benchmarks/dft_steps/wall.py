"""Wall clock of the whole chain against MMFF94 + ASE's BFGS + PySCF as a user would write it.

    .venv/bin/python benchmarks/dft_steps/wall.py [--ids gdb36 gdb42] [--ways defaults ours] [--table]

The molecules of results/dft-steps/qm9.extxyz (made by campaigns.py), one after the other, one thread. Plain:
RDKit's MMFF94, then ASE's BFGS to 0.03 eV/Å on a PySCF mean field with PySCF's own settings, made anew at
every geometry, at the level `qm9`. Ours: the command line from force field to relaxed shard, start `edm-few`,
optimizer `two-level`: all seconds between the first call and the last, imports of every program included,
and the same without imports. One JSON line per molecule and way in results/dft-steps/wall.jsonl; what is
there is not run again, so that pairs come from one run unless it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from ase import Atoms, io
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import BFGS
from ase.units import Bohr, Hartree
from pyscf import dft, gto, lib
from rdkit.Chem import rdForceFieldHelpers

from prerelax.engines.pyscf import qm9_level
from prerelax.molecules.graph import conformer_at
from prerelax.molecules.perception import perceived_molecule
from prerelax.records.shard import read_shard, write_frames

OUT = Path("results/dft-steps")
FMAX_EV_ANG = 0.03
WAYS = ("defaults", "density-fitting", "ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ids", nargs="*", help="only these molecules")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--table", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    lib.num_threads(1)
    frames = io.read(OUT / "qm9.extxyz", index=":")
    for atoms in frames if not arguments.table else []:
        if arguments.ids is None or atoms.info["id"] in arguments.ids:
            for way in arguments.ways:
                run_missing(atoms, way)
    report()


def run_missing(atoms: Atoms, way: str) -> None:
    identifier = atoms.info["id"]
    if (identifier, way) in {(line["id"], line["way"]) for line in results()}:
        return
    measured = ours(atoms) if way == "ours" else plain(atoms, way)
    line = {"id": identifier, "n_atoms": len(atoms), "way": way, **measured}
    with (OUT / "wall.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(line, flush=True)


def results() -> list[dict[str, Any]]:
    path = OUT / "wall.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class PlainPySCF(Calculator):
    """A mean field with PySCF's own settings at every geometry, nothing kept from the one before."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, density_fitting: bool) -> None:
        super().__init__()
        self.density_fitting = density_fitting
        self.n_gradients = 0

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties or ["energy"], system_changes)
        geometry = list(zip(self.atoms.get_chemical_symbols(), self.atoms.positions.tolist(), strict=True))
        basis = {symbol: qm9_level.basis(symbol) for symbol, _ in geometry}
        mean_field = dft.RKS(gto.M(atom=geometry, basis=basis, cart=True, verbose=0), xc=qm9_level.FUNCTIONAL)
        if self.density_fitting:
            mean_field = mean_field.density_fit()
        qm9_level.restrict_to_spherical_f(mean_field)
        energy = mean_field.kernel() * Hartree
        forces = -mean_field.nuc_grad_method().kernel() * (Hartree / Bohr)
        self.n_gradients += 1
        self.results = {"energy": energy, "forces": forces}


def plain(atoms: Atoms, way: str) -> dict[str, Any]:
    """What a user's own script does, timed from the given geometry to the relaxed one."""
    began, cpu = time.perf_counter(), time.process_time()
    molecule = perceived_molecule(atoms.numbers, atoms.positions, 0, 1)
    molecule.RemoveAllConformers()
    molecule.AddConformer(conformer_at(atoms.positions), assignId=True)
    rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, maxIters=2000)
    relaxing = Atoms(atoms.numbers, molecule.GetConformer().GetPositions())
    relaxing.calc = PlainPySCF(way == "density-fitting")
    converged = BFGS(relaxing, logfile=None).run(fmax=FMAX_EV_ANG, steps=200)
    return {
        "converged": bool(converged),
        "n_gradients": relaxing.calc.n_gradients,
        "energy_ev": float(relaxing.get_potential_energy()),
        "wall_s": time.perf_counter() - began,
        "processor_s": time.process_time() - cpu,
    }


def ours(atoms: Atoms) -> dict[str, Any]:
    """The chain through the command line, one call per stage."""
    program = str(Path(sys.executable).parent / "prerelax")
    level = ["--engine", "pyscf", "--method", "qm9", "--optimizer", "two-level", "--workers", "1"]
    with tempfile.TemporaryDirectory() as folder:
        shards = [
            Path(folder) / f"{stage}.extxyz" for stage in ("given", "embed", "mmff94", "few", "relaxed")
        ]
        write_frames(shards[0], [atoms])
        began, cpu = time.perf_counter(), children_s()
        for stage, *words in (
            ["embed", str(shards[0]), str(shards[1])],
            ["forcefield", str(shards[1]), str(shards[2])],
            ["diffuse", str(shards[2]), str(shards[3]), "--model", "edm-qm9-small", "--sampler", "few"],
            ["relax", str(shards[3]), str(shards[4]), *level],
        ):
            subprocess.run([program, stage, *words], check=True, capture_output=True)
        wall_s, processor_s = time.perf_counter() - began, children_s() - cpu
        record = read_shard(shards[4])[0]
    return {
        "converged": record.status == "ok",
        "n_gradients": record.n_gradients,
        "energy_ev": record.energy_ev,
        "wall_s": wall_s,
        "processor_s": processor_s,
        "stages_s": sum(record.stages_s.values()),
    }


def children_s() -> float:
    """Processor seconds of all programs that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report() -> None:
    """Print and write seconds, gradients and ratios, molecule by molecule, and their medians."""
    lines = pd.DataFrame(results())
    if lines.empty:
        return
    wall, processor, gradients = (
        lines.pivot(index=["n_atoms", "id"], columns="way", values=name)
        for name in ("wall_s", "processor_s", "n_gradients")
    )
    ways = [way for way in WAYS if way in wall]
    text = ["| molecule | atoms | " + " | ".join(f"{way}: processor s (gradients)" for way in ways) + " |"]
    text += ["| --- " * (2 + len(ways)) + "|"]
    for key in wall.index:
        cells = [
            ""
            if np.isnan(wall.loc[key, way])
            else f"{processor.loc[key, way]:.0f} ({gradients.loc[key, way]:.0f})"
            for way in ways
        ]
        text.append(f"| {key[1]} | {key[0]} | " + " | ".join(cells) + " |")
    for way in ways[:-1]:
        ratio = (processor[way] / processor["ours"]).dropna()
        on_the_wall = (wall[way] / wall["ours"]).dropna()
        spread = f"{ratio.median():.1f} times fewer processor seconds ({ratio.min():.1f}-{ratio.max():.1f})"
        clock = f"{on_the_wall.median():.1f} times faster on the clock"
        text.append(f"\nAgainst {way}, {len(ratio)} molecules: median {spread}, {clock}.")
    (OUT / "wall.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
