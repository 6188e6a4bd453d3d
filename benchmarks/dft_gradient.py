"""What one DFT gradient costs inside a relaxation, beside ASE and PySCF as a user would write them.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive .venv/bin/python benchmarks/dft_gradient.py RESULTS.jsonl \\
        [--atoms 18] [--geometries 5] [--methods ours pyscf-df pyscf reference] [--data FOLDER]

The first QM9 validation molecule of each size is taken from MMFF94 along its BFGS relaxation at the level
`qm9`. Every method then evaluates the same geometries in order, each starting from its own solution at the
geometry before:

- `pyscf`: PySCF's default grid, thresholds and guess, its SCF scanner, exact Coulomb and exchange;
- `pyscf-df`: the same with `density_fit()`;
- `ours`: prerelax's calculator;
- `reference`: `pyscf-df` on grid level 5, thresholds 1e-10 and 1e-6; forces are compared with these.

Seconds are of this process's processor time, the machine being busy; wall time stands beside them. Every
evaluation is a line of RESULTS.jsonl and is not repeated when the script is started again.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from ase.units import Bohr, Hartree
from pyscf import dft, gto, lib
from qm9_level_settings import molecule_of_size

from prerelax.engines import Level, make_calculator
from prerelax.engines.pyscf import qm9_level

METHODS = ("ours", "pyscf-df", "pyscf", "reference")


@dataclass(frozen=True)
class Measured:
    """One gradient: seconds of processor and wall time, cycles, energy (Eh) and forces (Eh/bohr)."""

    scf_s: float
    gradient_s: float
    wall_s: float
    cycles: int
    energy: float
    forces: list[list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--atoms", type=int, nargs="+", default=[18], help="sizes of the molecules")
    parser.add_argument("--geometries", type=int, default=5, help="of each relaxation, from its start")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    lib.num_threads(1)
    for size in arguments.atoms:
        path = relaxation_path(arguments, size)
        for method in arguments.methods:
            evaluate(arguments.results, size, method, path[: arguments.geometries])
        print_table(arguments.results, size, path[0].get_chemical_formula())


def relaxation_path(arguments: argparse.Namespace, size: int) -> list[Atoms]:
    """The first geometries of the molecule's relaxation, made once and kept in the results."""
    atoms = molecule_of_size(arguments.data, size)
    rows = [row for row in read(arguments.results) if row["kind"] == "path" and row["atoms"] == size]
    if not rows or len(rows[-1]["positions"]) < arguments.geometries:
        atoms.calc = make_calculator(Level(engine="pyscf", method="qm9"))
        optimizer = BFGS(atoms, logfile=None)
        steps = arguments.geometries - 1
        positions = [atoms.positions.tolist() for _ in optimizer.irun(fmax=0.0, steps=steps)]
        rows.append({"kind": "path", "atoms": size, "positions": positions})
        append(arguments.results, rows[-1])
    return [Atoms(atoms.numbers, positions) for positions in rows[-1]["positions"]]


def evaluate(results: Path, size: int, method: str, path: list[Atoms]) -> None:
    """Evaluate what is missing; what a method remembers of earlier geometries is made again, uncounted."""
    done = {row["geometry"] for row in measurements(results, size) if row["method"] == method}
    missing = [i for i in range(len(path)) if i not in done]
    if not missing:
        return
    evaluator = Ours() if method == "ours" else PlainPyscf(method)
    for i in range(max(0, missing[0] - evaluator.memory), len(path)):
        if method == "reference" and i in done:
            continue
        measured = evaluator(path[i])
        if i in missing:
            row = {"kind": "gradient", "atoms": size, "method": method, "geometry": i}
            append(results, row | vars(measured))
            print(f"{method} {i}: {measured.scf_s:.1f} + {measured.gradient_s:.1f} s", flush=True)


class Ours:
    """The package's calculator at the level qm9."""

    memory = 6

    def __init__(self) -> None:
        self.calculator: Any = make_calculator(Level(engine="pyscf", method="qm9"))

    def __call__(self, atoms: Atoms) -> Measured:
        cpu, wall = time.process_time(), time.perf_counter()
        self.calculator.calculate(atoms)
        cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
        gradient_s = self.calculator.gradient_s
        energy, forces = (self.calculator.results[key] / Hartree for key in ("energy", "forces"))
        return Measured(
            cpu_s - gradient_s, gradient_s, wall_s, self.calculator.cycles, energy, (forces * Bohr).tolist()
        )


class PlainPyscf:
    """PySCF's SCF scanner and its gradient."""

    memory = 1

    def __init__(self, method: str) -> None:
        self.method = method
        self.scanner: Any = None

    def __call__(self, atoms: Atoms) -> Measured:
        mol = molecule(atoms)
        if self.scanner is None:
            self.scanner = self.mean_field(mol).as_scanner()
        cpu, wall = time.process_time(), time.perf_counter()
        energy = self.scanner(mol)
        scf_s = time.process_time() - cpu
        gradient = self.scanner.nuc_grad_method().kernel()
        cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
        return Measured(
            scf_s, cpu_s - scf_s, wall_s, int(self.scanner.cycles), float(energy), (-gradient).tolist()
        )

    def mean_field(self, mol: gto.Mole) -> Any:
        mean_field = dft.RKS(mol, xc=qm9_level.FUNCTIONAL)
        if self.method != "pyscf":
            mean_field = mean_field.density_fit()
        if self.method == "reference":
            mean_field.grids.level = 5
            mean_field.conv_tol, mean_field.conv_tol_grad = 1e-10, 1e-6
        qm9_level.restrict_to_spherical_f(mean_field)
        return mean_field


def molecule(atoms: Atoms) -> gto.Mole:
    symbols = atoms.get_chemical_symbols()
    return gto.M(
        atom=list(zip(symbols, atoms.positions.tolist(), strict=True)),
        basis={symbol: qm9_level.basis(symbol) for symbol in set(symbols)},
        cart=True,
        verbose=0,
    )


def print_table(results: Path, size: int, formula: str) -> None:
    rows = measurements(results, size)
    reference = {row["geometry"]: row for row in rows if row["method"] == "reference"}
    print(f"\n{formula}, {size} atoms")
    print(
        "| method | geometries | SCF s | cycles | gradient s | total s | wall s | max. force error / a.u. |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    means: dict[tuple[str, str], float] = {}
    for method in METHODS:
        own = [row for row in rows if row["method"] == method]
        for which, part in (("first", [r for r in own if r["geometry"] == 0]),
                            ("later", [r for r in own if r["geometry"] > 0])):  # fmt: skip
            if part:
                means[method, which] = table_row(method, which, part, reference)
    for which in ("first", "later"):
        for plain in ("pyscf", "pyscf-df"):
            if ("ours", which) in means and (plain, which) in means:
                print(f"{which}: {means[plain, which] / means['ours', which]:.1f} times faster than {plain}")


def table_row(method: str, which: str, rows: list[dict[str, Any]], reference: dict[int, Any]) -> float:
    mean = {key: np.mean([row[key] for row in rows]) for key in ("scf_s", "gradient_s", "wall_s", "cycles")}
    errors = [
        np.abs(np.array(row["forces"]) - reference[row["geometry"]]["forces"]).max()
        for row in rows
        if row["geometry"] in reference
    ]
    total = float(mean["scf_s"] + mean["gradient_s"])
    print(
        f"| {method} | {which} ({len(rows)}) | {mean['scf_s']:.1f} | {mean['cycles']:.1f} "
        f"| {mean['gradient_s']:.1f} | {total:.1f} | {mean['wall_s']:.1f} "
        f"| {f'{max(errors):.0e}' if errors else '-'} |"
    )
    return total


def measurements(results: Path, size: int) -> list[dict[str, Any]]:
    return [row for row in read(results) if row["kind"] == "gradient" and row["atoms"] == size]


def read(results: Path) -> Iterator[dict[str, Any]]:
    if results.exists():
        yield from (json.loads(line) for line in results.read_text().splitlines())


def append(results: Path, row: dict[str, Any]) -> None:
    with results.open("a") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
