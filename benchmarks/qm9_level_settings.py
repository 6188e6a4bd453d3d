"""Grids and SCF thresholds of the level `qm9`: what they cost and how far off they leave energies and forces.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/qm9_level_settings.py [--molecules 9 12] [--data FOLDER]

For a QM9 molecule of each size, at the MMFF94 geometry: seconds of SCF and gradient (of processor time, as
the machine may be busy), cycles, and the largest error of a force component and of the energy against grid
level 5 with tight thresholds. `repeat` is a second geometry, 0.02 Å away, started from the first one's
orbitals, as in a relaxation.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree

from prerelax.engines import Level
from prerelax.engines.pyscf.scf import PySCF
from prerelax.engines.pyscf.settings import ScfSettings, scf_settings

TIGHT = ScfSettings(
    grid_level=5, radial_grid_level=5, partition="becke", conv_tol_eh=1e-10, conv_tol_gradient=1e-7
)
CANDIDATES = {
    "PySCF's grid and thresholds": ScfSettings(
        grid_level=3, radial_grid_level=3, partition="becke", conv_tol_eh=1e-9, conv_tol_gradient=3.2e-5
    ),
    "chosen": ScfSettings(),
    "tight": scf_settings(Level(engine="pyscf", method="qm9", tight=True)),
    "looser SCF": ScfSettings(conv_tol_gradient=3e-4),
    "grid 1": ScfSettings(grid_level=1),
    "grid 2": ScfSettings(radial_grid_level=2),
    "grid 2, Becke": ScfSettings(radial_grid_level=2, partition="becke"),
    "grid 2, PySCF's fitting functions": ScfSettings(radial_grid_level=2, fitting_beta=2.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", type=int, nargs="+", default=[9, 12], help="sizes in atoms")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    print("| molecule | settings | SCF s | gradient s | cycles | repeat s | cycles | Eh off | a.u. off |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for size in arguments.molecules:
        measure(molecule_of_size(arguments.data, size))


def molecule_of_size(data: Path, size: int) -> Atoms:
    """The first QM9 validation molecule of this many atoms without F, at its MMFF94 geometry."""
    with np.load(data / "qm9_small_test.npz") as small, np.load(data / "qm9_val.npz") as large:
        for table in (small, large):
            ends = np.cumsum(table["n_atoms"])
            for begin, end in zip(ends - table["n_atoms"], ends, strict=True):
                numbers = table["numbers"][begin:end]
                if end - begin == size and 9 not in numbers and {7, 8} <= set(numbers.tolist()):
                    return Atoms(numbers, table["positions_mmff94"][begin:end])
    raise SystemExit(f"no molecule with {size} atoms")


def measure(atoms: Atoms) -> None:
    reference = evaluate(atoms, TIGHT)
    moved = atoms.copy()
    moved.rattle(0.02, seed=0)
    for name, settings in CANDIDATES.items():
        calculator = PySCF(Level(engine="pyscf", method="qm9"), 0, 1, 1, settings)
        energy, forces, scf_s, gradient_s, cycles = evaluate(atoms, settings, calculator)
        *_, repeat_scf_s, repeat_gradient_s, repeat_cycles = evaluate(moved, settings, calculator)
        print(
            f"| {atoms.get_chemical_formula()} | {name} | {scf_s:.1f} | {gradient_s:.1f} | {cycles} "
            f"| {repeat_scf_s + repeat_gradient_s:.1f} | {repeat_cycles} | {energy - reference[0]:.0e} "
            f"| {np.abs(forces - reference[1]).max():.0e} |",
            flush=True,
        )


def evaluate(
    atoms: Atoms, settings: ScfSettings, calculator: PySCF | None = None
) -> tuple[float, np.ndarray, float, float, int]:
    """Energy (Eh), forces (a.u.), seconds of SCF and gradient, SCF cycles."""
    calculator = calculator or PySCF(Level(engine="pyscf", method="qm9"), 0, 1, 1, settings)
    began = time.process_time()
    calculator.calculate(atoms)
    total_s = time.process_time() - began
    results = calculator.results
    forces = results["forces"] * Bohr / Hartree
    return (
        results["energy"] / Hartree,
        forces,
        total_s - calculator.gradient_s,
        calculator.gradient_s,
        calculator.cycles,
    )


if __name__ == "__main__":
    main()
