"""How large the forces are where a relaxation begins: MMFF94's minima, denoised ones, QM9's own.

    OMP_NUM_THREADS=1 python benchmarks/start_forces.py RESULTS.jsonl [--models relaxer-qm9] [--molecules 40]
    OMP_NUM_THREADS=1 python benchmarks/start_forces.py RESULTS.jsonl --heavy 9 --molecules 20

Molecules spread evenly over `qm9_small_test.npz` ($PRERELAX_DATA, default ../shared/data), or with --heavy
random ones of `qm9_val.npz` of so many heavy atoms; one gradient each at the level `qm9`. A start whose
forces already meet an optimizer's criterion needs no second gradient as far as forces go; Gaussian's own test
is in internal coordinates and looks at displacements, too. Energies are above QM9's geometry; beside them
Spearman's r with what the denoiser expects. Every gradient is a line of RESULTS.jsonl and is not repeated
when the script is started again.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree, kcal, mol
from dft_steps.sets import denoised_starts
from numpy.typing import NDArray
from scipy.stats import spearmanr

from prerelax.datasets.structures import Structures, read_npz
from prerelax.engines import Level, make_calculator

LEVEL = Level(engine="pyscf", method="qm9")
SEED = 0
CRITERIA = {"loose": (2.5e-3, 1.7e-3), "default": (4.5e-4, 3.0e-4)}
"""Gaussian's `Opt=Loose` and default: largest and root mean square component of the forces, Eh/bohr."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
    parser.add_argument("results", type=Path)
    parser.add_argument("--models", nargs="*", default=["relaxer-qm9"], help="names or folders")
    parser.add_argument("--others", nargs="*", default=["mmff94", "qm9"], choices=["mmff94", "qm9"])
    parser.add_argument("--molecules", type=int, default=40)
    parser.add_argument("--heavy", type=int, help="random molecules of so many heavy atoms")
    arguments = parser.parse_args()
    structures = read_npz(data / ("qm9_val.npz" if arguments.heavy else "qm9_small_test.npz"))
    structures = structures.with_elements([1, 6, 7, 8])
    chosen = np.arange(len(structures))[:: max(len(structures) // arguments.molecules, 1)]
    if arguments.heavy:
        heavy = np.add.reduceat((structures.numbers > 1).astype(int), structures.first_atom)
        chosen = np.random.default_rng(SEED).permutation(np.flatnonzero(heavy == arguments.heavy))
    structures = structures.select(chosen[: arguments.molecules])
    for start in [*arguments.others, *arguments.models]:
        evaluate(arguments.results, start, structures)
    print_table(arguments.results, [int(i) for i in structures.ids])
    print_ranks(arguments.results)


def evaluate(results: Path, start: str, structures: Structures) -> None:
    """Append the forces that are missing of one kind of start."""
    name = Path(start).name
    done = {row["id"] for row in read(results) if row["start"] == name}
    missing = structures.select([row for row, i in enumerate(structures.ids) if int(i) not in done])
    if not len(missing):
        return
    positions, expected = starts(start, missing)
    for row, (identifier, numbers, _) in enumerate(missing):
        atoms = Atoms(numbers, positions[missing.atoms_of(row)])
        atoms.calc = make_calculator(LEVEL)
        forces = atoms.get_forces() * Bohr / Hartree
        line = {"start": name, "id": int(identifier), "forces": forces.tolist()}
        line |= {"energy_ev": atoms.get_potential_energy(), "expected_kcal_mol": expected[row]}
        results.parent.mkdir(parents=True, exist_ok=True)
        with results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{name} gdb{identifier}: {largest(forces) * Hartree / Bohr:.3f} eV/Å", flush=True)


def starts(start: str, structures: Structures) -> tuple[NDArray[np.floating], list[float | None]]:
    """Positions [n_atoms_total, 3] Å of a kind of start, and the energies left that a denoiser expects."""
    if start == "qm9":
        return structures.positions, [None] * len(structures)
    if start == "mmff94":
        assert structures.positions_start is not None
        return structures.positions_start, [None] * len(structures)
    positions, expected = denoised_starts(start, structures)
    return positions, list(expected)


def largest(forces: NDArray[np.floating]) -> float:
    """The length of the largest force on an atom, which ASE's `fmax` is compared with."""
    return float(np.linalg.norm(forces, axis=1).max())


def print_table(results: Path, ids: list[int]) -> None:
    """One line for each kind of start, of the molecules of `ids` that are finished."""
    rows = [row for row in read(results) if row["id"] in ids]
    minima = {row["id"]: row["energy_ev"] for row in rows if row["start"] == "qm9"}
    print("\n| start | n | largest force, median (quartiles) / eV/Å | meet loose | meet default |", end="")
    print(" above QM9's geometry, median (most) / kcal/mol | r with what is expected |")
    print("| --- " * 7 + "|")
    for name in dict.fromkeys(row["start"] for row in rows):
        of_start = [row for row in rows if row["start"] == name]
        forces = [np.array(row["forces"]) for row in of_start]
        low, median, high = np.percentile([largest(f) for f in forces], [25, 50, 75]) * Hartree / Bohr
        shares = [
            np.mean([np.abs(f).max() < top and np.sqrt(np.mean(f**2)) < mean for f in forces])
            for top, mean in CRITERIA.values()
        ]
        cells = [f"`{name}`", str(len(forces)), f"{median:.3f} ({low:.3f}–{high:.3f})"]
        cells += [f"{100 * share:.0f} %" for share in shares]
        known = [row for row in of_start if row["id"] in minima]
        above = [(row["energy_ev"] - minima[row["id"]]) * mol / kcal for row in known]
        cells += [f"{np.median(above):.3f} ({max(above):.2f})" if above else ""]
        expected = [row["expected_kcal_mol"] for row in known]
        cells += [f"{spearmanr(expected, above).statistic:.2f}" if above and None not in expected else ""]
        print(f"| {' | '.join(cells)} |")


def print_ranks(results: Path) -> None:
    """Spearman's r of the energies expected and true, of all molecules in `results`."""
    rows = read(results)
    minima = {row["id"]: row["energy_ev"] for row in rows if row["start"] == "qm9"}
    known = [row for row in rows if row["id"] in minima and row["expected_kcal_mol"] is not None]
    for name in dict.fromkeys(row["start"] for row in known):
        of_start = [row for row in known if row["start"] == name]
        pairs = [(row["expected_kcal_mol"], row["energy_ev"] - minima[row["id"]]) for row in of_start]
        found = np.array(pairs) * [1.0, mol / kcal]
        random = np.random.default_rng(SEED)
        again = [found[random.integers(0, len(found), len(found))] for _ in range(3000)]
        low, high = np.percentile([spearmanr(*each.T).statistic for each in again], [2.5, 97.5])
        expected, true = np.median(found, axis=0)
        print(f"`{name}`, all {len(found)} molecules: r = {spearmanr(*found.T).statistic:.2f}", end=" ")
        print(f"(95 % by bootstrap {low:.2f} to {high:.2f}); medians {expected:.3f}, {true:.3f} kcal/mol")


def read(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


if __name__ == "__main__":
    main()
