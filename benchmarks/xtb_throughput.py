"""GFN2-xTB relaxations per second with ASE's BFGS, and where the time goes.

    .venv/bin/python benchmarks/xtb_throughput.py [--atoms 18] [--molecules 60] [--workers 2] [--data FOLDER]

QM9 validation molecules of one size, from their MMFF94 geometries to fmax 0.03 eV/Å. First the shard as a
user runs it, then the same molecules in this process with tblite's own time apart (processor seconds).
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.optimize import BFGS

from prerelax.engines import Level, make_calculator
from prerelax.records import Record, read_shard, write_shard
from prerelax.relaxation.optimizers import GradientCounter
from prerelax.relaxation.shard import relax_shard

GFN2 = Level("tblite", "GFN2-xTB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--atoms", type=int, default=18)
    parser.add_argument("--molecules", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    records = molecules(arguments.data, arguments.atoms, arguments.molecules)
    shard_as_a_user_runs_it(records, arguments.workers)
    where_the_time_goes(records)


def molecules(data: Path, n_atoms: int, limit: int) -> list[Record]:
    """The first `limit` validation molecules of this size, at their MMFF94 geometries."""
    with np.load(data / "qm9_val.npz") as table:
        ends = np.cumsum(table["n_atoms"])
        chosen = np.flatnonzero(table["n_atoms"] == n_atoms)[:limit]
        numbers, positions, ids = table["numbers"], table["positions_mmff94"], table["ids"]
    rows = [slice(ends[i] - n_atoms, ends[i]) for i in chosen]
    return [
        Record(str(ids[i]), numbers[row].astype(int), positions[row].astype(float))
        for i, row in zip(chosen, rows, strict=True)
    ]


def shard_as_a_user_runs_it(records: list[Record], workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inp, out = Path(folder) / "in.extxyz", Path(folder) / "out.extxyz"
        write_shard(inp, records)
        began = time.perf_counter()
        summary = relax_shard(inp, out, level=GFN2, workers=workers, target="gfn2", progress=lambda _: None)
        wall_s = time.perf_counter() - began
        gradients = np.array([row.n_gradients for row in read_shard(out)])
    print(
        f"{len(records)} molecules, {workers} workers: {wall_s:.1f} s, {len(records) / wall_s:.1f} a second"
    )
    print(
        f"gradients: median {np.median(gradients):.0f}, mean {gradients.mean():.1f}; {dict(summary.statuses)}"
    )


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
