"""How large the forces are where a relaxation begins: MMFF94's minima, denoised ones, QM9's own.

    OMP_NUM_THREADS=1 python benchmarks/start_forces.py RESULTS.jsonl [--models relaxer-qm9] [--molecules 40]

Molecules spread evenly over `qm9_small_test.npz` ($PRERELAX_DATA, default ../shared/data), one gradient
each at the level `qm9`. A start whose forces already meet an optimizer's criterion needs no second gradient
as far as forces go; Gaussian's own test is in internal coordinates and looks at displacements, too. Every
gradient is a line of RESULTS.jsonl and is not repeated when the script is started again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree
from numpy.typing import NDArray

from prerelax.datasets.structures import Structures, read_npz, write_npz
from prerelax.engines import Level, make_calculator

LEVEL = Level(engine="pyscf", method="qm9")
CRITERIA = {"loose": (2.5e-3, 1.7e-3), "default": (4.5e-4, 3.0e-4)}
"""Gaussian's `Opt=Loose` and default: largest and root mean square component of the forces, Eh/bohr."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("PRERELAX_DATA", "../shared/data")) / "qm9_small_test.npz"
    parser.add_argument("results", type=Path)
    parser.add_argument("--models", nargs="*", default=["relaxer-qm9"], help="names or folders")
    parser.add_argument("--others", nargs="*", default=["mmff94", "qm9"], choices=["mmff94", "qm9"])
    parser.add_argument("--molecules", type=int, default=40)
    parser.add_argument("--data", type=Path, default=data)
    arguments = parser.parse_args()
    structures = read_npz(arguments.data).with_elements([1, 6, 7, 8])
    chosen = np.arange(len(structures))[:: max(len(structures) // arguments.molecules, 1)]
    structures = structures.select(chosen[: arguments.molecules])
    for start in [*arguments.others, *arguments.models]:
        evaluate(arguments.results, start, structures)
    print_table(arguments.results, [int(i) for i in structures.ids])


def evaluate(results: Path, start: str, structures: Structures) -> None:
    """Append the forces that are missing of one kind of start."""
    name = Path(start).name
    done = {row["id"] for row in read(results) if row["start"] == name}
    missing = structures.select([row for row, i in enumerate(structures.ids) if int(i) not in done])
    if not len(missing):
        return
    positions = starts(start, missing)
    for row, (identifier, numbers, _) in enumerate(missing):
        atoms = Atoms(numbers, positions[missing.atoms_of(row)])
        atoms.calc = make_calculator(LEVEL)
        forces = atoms.get_forces() * Bohr / Hartree
        line = {"start": name, "id": int(identifier), "forces": forces.tolist()}
        results.parent.mkdir(parents=True, exist_ok=True)
        with results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{name} gdb{identifier}: {largest(forces) * Hartree / Bohr:.3f} eV/Å", flush=True)


def starts(start: str, structures: Structures) -> NDArray[np.floating]:
    """Positions [n_atoms_total, 3] Å of a kind of start; denoised in another process, apart from PySCF."""
    if start == "qm9":
        return structures.positions
    if start == "mmff94":
        assert structures.positions_start is not None
        return structures.positions_start
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.npz", Path(folder) / "after.npz"
        write_npz(before, structures)
        command = [sys.executable, "-m", "prerelax", "models", "denoise-starts", start, before, after]
        subprocess.run([str(word) for word in command], check=True)
        denoised = read_npz(after)
    if denoised.positions_start is None or len(denoised) != len(structures):
        raise SystemExit(f"{start} cannot denoise all of the molecules")
    return denoised.positions_start


def largest(forces: NDArray[np.floating]) -> float:
    """The length of the largest force on an atom, which ASE's `fmax` is compared with."""
    return float(np.linalg.norm(forces, axis=1).max())


def print_table(results: Path, ids: list[int]) -> None:
    """One line for each kind of start, of the molecules of `ids` that are finished."""
    rows = read(results)
    print("\n| start | molecules | largest force, median (quartiles) / eV/Å | meet loose | meet default |")
    print("| --- | --- | --- | --- | --- |")
    for name in dict.fromkeys(row["start"] for row in rows):
        forces = [np.array(row["forces"]) for row in rows if row["start"] == name and row["id"] in ids]
        low, median, high = np.percentile([largest(f) for f in forces], [25, 50, 75]) * Hartree / Bohr
        shares = [
            np.mean([np.abs(f).max() < top and np.sqrt(np.mean(f**2)) < mean for f in forces])
            for top, mean in CRITERIA.values()
        ]
        cells = [f"`{name}`", str(len(forces)), f"{median:.3f} ({low:.3f}–{high:.3f})"]
        print(f"| {' | '.join(cells + [f'{100 * share:.0f} %' for share in shares])} |")


def read(results: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


if __name__ == "__main__":
    main()
