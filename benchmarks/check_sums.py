"""What check sums cost `prerelax compare`: process seconds with them and without, on shards made for it.

python benchmarks/check_sums.py [ROWS] [ROWS_PER_SHARD]
"""

import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ase.build import molecule

from prerelax.campaign.baseline import Baseline
from prerelax.comparison.comparison import compare
from prerelax.records.record import Record, as_table
from prerelax.records.seal import SEAL, Seal, write_table

STARTS = ("mmff94", "edm-n50")


def row(start: str) -> Record:
    """A relaxed row as a campaign has it."""
    atoms = molecule("CH3CH2OH")
    return Record(
        id="0",
        numbers=atoms.numbers,
        positions=atoms.positions,
        smiles="[C:1]([C:2]([O:3][H:4])([H:5])[H:6])([H:7])([H:8])[H:9]",
        start=start,
        target="gfn2",
        converged=True,
        n_gradients=12,
        n_steps=11,
        energy_ev=-310.0,
        start_energy_ev=-309.9,
        fmax_ev_ang=0.02,
        connectivity_unchanged=True,
        wall_s=0.4,
        stages_s={"rdkit": 0.01, start: 0.02, "gfn2": 0.4},
        settings='{"engine": "tblite", "method": "GFN2-xTB", "optimizer": "bfgs"}',
        start_positions=atoms.positions,
    )


def made(folder: Path, n_rows: int, size: int) -> list[Path]:
    """Folders of shards; `n_rows` rows in all. Of the frames, which are not read, there is a byte."""
    choose = np.random.default_rng(0)
    seal = {SEAL: json.dumps(asdict(Seal(size, 1, "")))}
    folders = [folder / "relaxed/gfn2" / start for start in STARTS]
    for out in folders:
        out.mkdir(parents=True)
        table = as_table([row(out.name)] * size)
        at = {name: table.column_names.index(name) for name in ("id", "energy_ev")}
        for shard in range(n_rows // len(STARTS) // size):
            ids = pa.array([f"{shard * size + place:08d}" for place in range(size)])
            energies = pa.array(-310 + choose.normal(size=size))
            changed = table.set_column(at["id"], "id", ids).set_column(at["energy_ev"], "energy_ev", energies)
            write_table(out / f"{shard:04d}.parquet", changed.replace_schema_metadata(seal))
            (out / f"{shard:04d}.extxyz").write_bytes(b"-")
    return folders


def seconds(folder: Path, folders: list[Path]) -> float:
    """Process seconds of one comparison."""
    began = time.process_time()
    compare(folder / "comparison.csv", folders, Baseline(start="mmff94"))
    return time.process_time() - began


def main() -> None:
    """Print the seconds of each of three comparisons, in turn with and without check sums."""
    n_rows, size = (int(word) for word in [*sys.argv[1:], "100000", "100"][:2])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        folders = made(folder, n_rows, size)
        n_bytes = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
        real = pq.ParquetFile

        def unchecked(source: pa.NativeFile, **options: bool) -> pq.ParquetFile:
            return real(source)

        seconds(folder, folders)
        with_sums, without = [], []
        for _ in range(3):
            with_sums.append(seconds(folder, folders))
            with (
                mock.patch("prerelax.records.seal._check_sum"),
                mock.patch("prerelax.records.seal.pq.ParquetFile", unchecked),
                mock.patch("prerelax.comparison.relaxed_shards.check_size"),
            ):
                without.append(seconds(folder, folders))
    cost = min(with_sums) / min(without) - 1
    print(f"{n_rows} rows in shards of {size}, tables of {n_bytes / 1e6:.0f} MB")
    print(f"with check sums {min(with_sums):.2f} s, without {min(without):.2f} s: {100 * cost:+.1f} %")


if __name__ == "__main__":
    main()
