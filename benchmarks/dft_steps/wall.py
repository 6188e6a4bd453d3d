"""Processor seconds from SMILES to a DFT minimum: prerelax, and GFN2-xTB + geomeTRIC + PySCF beside it.

    python benchmarks/dft_steps/wall.py [MOLECULES.csv] [--max-heavy 8] [--molecules 3] [--table]

B3LYP-D3BJ/def2-SVP, one molecule at a time, one thread, the smallest molecules first. Plain: RDKit's
embedding and MMFF94, geomeTRIC to the GFN2-xTB minimum, then PySCF's own geomeTRIC driver with density
fitting, PySCF's settings and geomeTRIC's default criteria. prerelax: its command line, `embed`, `forcefield`
and `relax` with the defaults of a DFT target (`two-level`, `normal`, `check_minimum: cheap`), every program's
start included. One JSON line for each molecule and way in results/dft-steps/wall.jsonl; what is there is not
run again.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import Hartree, kcal, mol
from pyscf import dft, gto, lib
from pyscf.geomopt import geometric_solver
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from prerelax.records.shard import read_shard
from prerelax.relaxation.molecule import relax_molecule
from prerelax.relaxation.settings import Relaxation

OUT = Path("results/dft-steps/wall.jsonl")
FLOPPY = Path(os.environ.get("PRERELAX_DATA", "../shared/data")).parent / "cases" / "floppy.csv"
Line = dict[str, str | int | float | bool]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("csv", type=Path, nargs="?", default=FLOPPY, help="id, smiles")
    parser.add_argument("--max-heavy", type=int, default=8)
    parser.add_argument("--molecules", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    lib.num_threads(1)
    rows = [] if options.table else smallest(options.csv, options.max_heavy)[: options.molecules]
    for name, smiles in rows:
        for way, measure in {"prerelax": ours, "plain": plain}.items():
            if not any((line["id"], line["way"]) == (name, way) for line in results()):
                line = {"id": name, "way": way, **measure(smiles)}
                with OUT.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(line, flush=True)
    report()


def smallest(path: Path, max_heavy: int) -> list[tuple[str, str]]:
    """Names and SMILES, by the number of atoms."""
    rows = [(row["id"], row["smiles"]) for row in csv.DictReader(path.open())]
    sizes = {smiles: Chem.MolFromSmiles(smiles) for _, smiles in rows}
    few = [(name, smiles) for name, smiles in rows if sizes[smiles].GetNumHeavyAtoms() <= max_heavy]
    return sorted(few, key=lambda row: Chem.AddHs(sizes[row[1]]).GetNumAtoms())


def plain(smiles: str) -> Line:
    """What a user's own script does."""
    began, cpu = time.perf_counter(), time.process_time()
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(molecule, randomSeed=42)
    rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, maxIters=5000)
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    gfn2 = Relaxation(engine="tblite", method="GFN2-xTB", optimizer="geometric", convergence="normal")
    start = relax_molecule(numbers, molecule.GetConformer().GetPositions(), 0, 1, gfn2).positions
    assert start is not None
    atoms = Atoms(numbers, start)
    geometry = list(zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True))
    mean_field = dft.RKS(gto.M(atom=geometry, basis="def2-svp", verbose=0), xc="b3lyp").density_fit()
    mean_field.disp = "d3bj"
    energies_hartree: list[float] = []
    converged, _ = geometric_solver.kernel(
        mean_field, maxsteps=200, callback=lambda seen: energies_hartree.append(float(seen["energy"]))
    )
    return {
        "atoms": len(numbers),
        "converged": bool(converged),
        "n_gradients": len(energies_hartree),
        "energy_ev": energies_hartree[-1] * Hartree,
        "wall_s": time.perf_counter() - began,
        "processor_s": time.process_time() - cpu,
    }


def ours(smiles: str) -> Line:
    """The chain through the command line, one call per stage."""
    program = str(Path(sys.executable).parent / "prerelax")
    level = ["--engine", "pyscf", "--method", "B3LYP", "--basis", "def2-SVP", "--dispersion", "d3bj"]
    with tempfile.TemporaryDirectory() as folder:
        given, embedded, mmff94, relaxed = (
            Path(folder) / name
            for name in ("given.smi", "embedded.extxyz", "mmff94.extxyz", "relaxed.extxyz")
        )
        given.write_text(f"{smiles} molecule\n")
        began, cpu = time.perf_counter(), children_s()
        for stage, *words in (
            ["embed", str(given), str(embedded)],
            ["forcefield", str(embedded), str(mmff94)],
            ["relax", str(mmff94), str(relaxed), *level, "--workers", "1"],
        ):
            subprocess.run([program, stage, *words], check=True, capture_output=True)
        wall_s, processor_s = time.perf_counter() - began, children_s() - cpu
        record = read_shard(relaxed)[0]
    return {
        "atoms": len(record.numbers),
        "converged": record.status == "ok",
        "n_gradients": record.n_gradients,
        "n_gradients_check": record.n_gradients_check,
        "energy_ev": record.energy_ev,
        "wall_s": wall_s,
        "processor_s": processor_s,
    }


def children_s() -> float:
    """Processor seconds of all programs that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def results() -> list[Line]:
    return [json.loads(line) for line in OUT.read_text().splitlines()] if OUT.exists() else []


def pairs() -> Iterator[tuple[Line, Line]]:
    """Plain and prerelax, of molecules that have both."""
    found = {(line["id"], line["way"]): line for line in results()}
    for (name, way), line in found.items():
        if way == "plain" and (name, "prerelax") in found:
            yield line, found[name, "prerelax"]


def report() -> None:
    """Markdown, one row for each molecule."""
    print("| molecule | atoms | plain: gradients, processor s | prerelax | times fewer | end / kcal/mol |")
    print("| --- " * 6 + "|")
    for plain_line, own in pairs():
        times = float(plain_line["processor_s"]) / float(own["processor_s"])
        higher = (float(own["energy_ev"]) - float(plain_line["energy_ev"])) * mol / kcal
        cells = [f"{line['n_gradients']}, {line['processor_s']:.0f}" for line in (plain_line, own)]
        print(f"| {own['id']} | {own['atoms']} | {cells[0]} | {cells[1]} | {times:.1f} | {higher:.2f} |")


if __name__ == "__main__":
    main()
