"""GFN2-xTB relaxations per second: a shard as a user runs it beside the program xtb; where the time goes.

    .venv/bin/python benchmarks/xtb_throughput.py [--atoms 18 | --atoms 0] [--molecules 60] [--workers 2]
        [--levels lax normal] [--optimizers bfgs bfgs-hessian] [--data FOLDER]

QM9 validation molecules of one size (0: the first of all sizes), from their MMFF94 geometries to fmax
0.03 eV/Å. The shard; then `xtb --opt` where it is installed, as many processes side by side, one thread each,
and how many of its geometries pass our criterion; then the same molecules in this process with tblite's own
time apart. Processor seconds stand beside wall seconds: on a busy machine they are what compares.
"""

import argparse
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.optimize import BFGS

from prerelax.engines import Level, make_calculator
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.optimizers import GradientCounter
from prerelax.relaxation.settings import Relaxation, Resources
from prerelax.relaxation.shard import Named, relax_shard

GFN2 = Level(engine="tblite", method="GFN2-xTB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, default=18)
    parser.add_argument("--molecules", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--optimizers", nargs="*", default=["bfgs", "bfgs-hessian"])
    parser.add_argument("--levels", nargs="*", default=["lax", "normal"], help="of xtb --opt")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    records = molecules(arguments.data, arguments.atoms, arguments.molecules)
    ours = {each: shard_as_a_user_runs_it(records, arguments.workers, each) for each in arguments.optimizers}
    for level in arguments.levels if shutil.which("xtb") else []:
        beside_the_program(records, arguments.workers, level, ours)
    where_the_time_goes(records[:60])


def molecules(data: Path, n_atoms: int, limit: int) -> list[Record]:
    """The first `limit` validation molecules of this size (0: any), at their MMFF94 geometries."""
    with np.load(data / "qm9_val.npz") as table:
        ends = np.cumsum(table["n_atoms"])
        chosen = np.flatnonzero((table["n_atoms"] == n_atoms) | (n_atoms == 0))[:limit]
        begins = ends - table["n_atoms"]
        numbers, positions, ids = table["numbers"], table["positions_mmff94"], table["ids"]
    rows = [slice(begins[i], ends[i]) for i in chosen]
    return [
        Record(str(ids[i]), numbers[row].astype(int), positions[row].astype(float))
        for i, row in zip(chosen, rows, strict=True)
    ]


@dataclass(frozen=True)
class Seconds:
    wall: float
    processor: float
    """of this process and those that it started"""

    @classmethod
    def of(cls, work: Callable[[], object]) -> "Seconds":
        began, before = time.perf_counter(), _processor_seconds()
        work()
        return cls(time.perf_counter() - began, _processor_seconds() - before)

    def line(self, name: str, n: int) -> str:
        return (
            f"{name}: {n} molecules in {self.wall:.1f} s wall, {self.processor:.1f} s processor; "
            f"{n / self.wall:.2f} a second wall, {n / self.processor:.2f} a processor second"
        )


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def shard_as_a_user_runs_it(records: list[Record], workers: int, optimizer: str) -> Seconds:
    gfn2 = Relaxation(**GFN2.model_dump(), optimizer=optimizer)
    options = {"named": Named(target="gfn2"), "resources": Resources(workers=workers)}
    with tempfile.TemporaryDirectory() as folder:
        inp, out = Path(folder) / "in.extxyz", Path(folder) / "out.extxyz"
        write_shard(inp, records)
        seconds = Seconds.of(lambda: relax_shard(inp, out, gfn2, progress=lambda _: None, **options))
        rows = read_shard(out)
    print(seconds.line(f"prerelax, {optimizer}, {workers} workers", len(records)))
    gradients = np.array([row.n_gradients for row in rows])
    print(f"  gradients: median {np.median(gradients):.0f}, mean {gradients.mean():.1f}")
    in_hand = sum(row.wall_s for row in rows)
    print(
        "  idle share of the workers, start and end of the job included: "
        f"{1 - in_hand / workers / seconds.wall:.1%}"
    )
    print(f"  converged: {sum(row.status == 'ok' for row in rows)} of {len(rows)}")
    return seconds


def beside_the_program(records: list[Record], workers: int, level: str, ours: dict[str, Seconds]) -> None:
    """`xtb --opt` over the same molecules, and its geometries by our criterion."""
    found: list[Atoms | None] = []

    def all_of_them() -> None:
        with ThreadPoolExecutor(workers) as pool:
            found.extend(pool.map(lambda record: _xtb_opt(record, level), records))

    seconds = Seconds.of(all_of_them)
    print(seconds.line(f"xtb --opt {level}, {workers} processes", len(records)))
    fmax = np.array([_fmax(atoms, record) for atoms, record in zip(found, records, strict=True)])
    print(f"  below 0.03 eV/Å: {(fmax < 0.03).sum()} of {len(fmax)}; median fmax {np.median(fmax):.4f} eV/Å")
    for optimizer, of_ours in ours.items():
        print(
            f"  prerelax {optimizer} / xtb --opt {level}: {seconds.wall / of_ours.wall:.2f} times as many a "
            f"second, {seconds.processor / of_ours.processor:.2f} a processor second"
        )


def _xtb_opt(record: Record, level: str) -> Atoms | None:
    with tempfile.TemporaryDirectory() as folder:
        ase.io.write(f"{folder}/in.xyz", Atoms(record.numbers, record.positions))
        subprocess.run(
            ["xtb", "in.xyz", "--gfn", "2", "--opt", level, "--chrg", str(record.charge)],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        out = Path(folder) / "xtbopt.xyz"
        return ase.io.read(out) if out.is_file() else None


def _fmax(atoms: Atoms | None, record: Record) -> float:
    if atoms is None:
        return float("inf")
    atoms.calc = make_calculator(GFN2, charge=record.charge, multiplicity=record.multiplicity)
    return float(np.linalg.norm(atoms.get_forces(), axis=1).max())


class _Timed(GradientCounter):
    seconds = 0.0

    def calculate(self, *arguments: object, **options: object) -> None:
        began = time.process_time()
        super().calculate(*arguments, **options)
        _Timed.seconds += time.process_time() - began


def where_the_time_goes(records: list[Record]) -> None:
    began = time.process_time()
    gradients = 0
    for record in records:
        atoms = Atoms(record.numbers, record.positions)
        counter = atoms.calc = _Timed(make_calculator(GFN2))
        BFGS(atoms, logfile=None).run(fmax=0.03, steps=1000)
        gradients += counter.n_gradients
    total = time.process_time() - began
    print(
        f"one core: {len(records) / total:.1f} molecules a processor second, "
        f"{1e3 * total / gradients:.1f} ms a gradient, "
        f"of which tblite {1e3 * _Timed.seconds / gradients:.1f} ms, ASE's BFGS the rest"
    )


if __name__ == "__main__":
    main()
