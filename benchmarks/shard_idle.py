"""How long the workers of a relaxation job idle, on molecules of mixed sizes.

    .venv/bin/python benchmarks/shard_idle.py [--smiles ../shared/data/smiles_qm9.smi] [--molecules 1000]
        [--workers 2] [--optimizer bfgs] [--start-from KEPT.extxyz]

Molecules spread over a SMILES list, embedded and minimised with MMFF94 as a campaign does it, then relaxed by
the shard loop (GFN2-xTB). A worker is busy from a molecule's first gradient to its last; everything else
between the call and the written shard is idle: starting processes, waiting for work, the last molecules, and
what is made of the results.
"""

import argparse
import tempfile
import time
from pathlib import Path

from prerelax.records.shard import read_shard
from prerelax.relaxation.progress import Progress
from prerelax.relaxation.settings import Relaxation, Resources
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smiles", type=Path, default=Path("../shared/data/smiles_qm9.smi"))
    parser.add_argument("--molecules", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--optimizer", default="bfgs")
    parser.add_argument(
        "--start-from", type=Path, help="an MMFF94 shard to use, or to make for the next time"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = arguments.start_from or folder / "mmff94.extxyz"
        if not start.is_file():
            make_start(arguments.smiles, arguments.molecules, start, folder)
        relax(start, folder / "relaxed.extxyz", arguments.workers, arguments.optimizer)


def make_start(smiles: Path, n_molecules: int, start: Path, folder: Path) -> None:
    lines = smiles.read_text().splitlines()
    chosen = lines[:: max(len(lines) // n_molecules, 1)][:n_molecules]
    (folder / "chosen.smi").write_text("\n".join(chosen) + "\n")
    embed_shard(folder / "chosen.smi", folder / "rdkit.extxyz", None, 1, 42)
    forcefield_shard(folder / "rdkit.extxyz", start, "mmff94", None, "mmff94")


def relax(start: Path, out: Path, workers: int, optimizer: str) -> None:
    ends: list[float] = []

    def note(_: Progress) -> None:
        ends.append(time.perf_counter())

    began = time.perf_counter()
    gfn2 = Relaxation(engine="tblite", method="GFN2-xTB", optimizer=optimizer)
    resources = Resources(workers=workers)
    relax_shard(start, out, gfn2, named=Named(target="gfn2"), resources=resources, progress=note)
    ended = time.perf_counter()
    rows = [row for row in read_shard(out) if row.n_gradients]
    sizes = sorted(len(row.numbers) for row in rows)
    busy = sum(row.wall_s for row in rows)
    print(f"{len(rows)} molecules of {sizes[0]} to {sizes[-1]} atoms, {workers} workers, {optimizer}")
    print(
        f"until the last molecule: {ends[-1] - began:.1f} s, the shard written {ended - ends[-1]:.1f} s later"
    )
    loop = ends[-1] - ends[0]
    print(f"idle share of the workers: {1 - busy / workers / (ended - began):.1%} of the whole job")
    print(f"  between the first and the last molecule: {max(0.0, 1 - busy / workers / loop):.1%} at most")


if __name__ == "__main__":
    main()
