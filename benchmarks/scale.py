"""How the workflow's own work grows with the number of molecules: no chemistry, 10^4 to 10^6 molecules.

    .venv/bin/python benchmarks/scale.py [--sizes 10000 100000 1000000] [--shard-size 1000] [--folder DIR]
        [--table docs/figures/scale.csv] [--figure docs/figures/scale.png]

Two starts at one target. Relaxations are made up: one shard is written as the package writes it, the others
are its table with other ids, steps and energies, and links to its frames. Then each program is run as a user
runs it, and its wall seconds, processor seconds and largest memory are noted. On a busy machine the processor
seconds are what counts.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ase.build import molecule

from prerelax.campaign.sharding import Sharding, shard_name
from prerelax.records.record import Record
from prerelax.records.seal import write_table
from prerelax.records.shard import table_path, write_shard

REPOSITORY = Path(__file__).resolve().parents[1]
STAGES = {
    "molecules": ("rdkit", None),
    "starts/mmff94": ("mmff94", None),
    "starts/edm-n50": ("edm-n50", None),
    "relaxed/gfn2/mmff94": ("mmff94", "gfn2"),
    "relaxed/gfn2/edm-n50": ("edm-n50", "gfn2"),
}
CONFIG = """campaign: scale
molecules: molecules.csv
shard_size: {shard_size}
starts:
  mmff94: {{kind: forcefield}}
  edm-n50: {{kind: diffuse, model: edm-qm9-small, sampler: edm, steps: 50}}
targets:
  gfn2: {{engine: tblite, method: GFN2-xTB}}
"""
SMILES = "[C:1]([O:2][H:6])([H:3])([H:4])[H:5]"


@dataclass(frozen=True)
class Measured:
    molecules: int
    work: str
    wall_s: float
    processor_s: float
    memory_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--shard-size", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=None, help="default: a temporary one")
    parser.add_argument("--table", type=Path, default=REPOSITORY / "docs/figures/scale.csv")
    parser.add_argument("--figure", type=Path, default=REPOSITORY / "docs/figures/scale.png")
    arguments = parser.parse_args()
    measured: list[Measured] = []
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            for each in measure(Path(folder), size, arguments.shard_size):
                measured.append(each)
                print(
                    f"{each.molecules:>8} {each.work:<34} {each.wall_s:8.1f} s wall "
                    f"{each.processor_s:8.1f} s processor {each.memory_mb:8.0f} MB",
                    flush=True,
                )
    write_csv(arguments.table, measured)
    draw(arguments.figure, measured)


def measure(folder: Path, n_molecules: int, shard_size: int) -> Iterator[Measured]:
    """Every program at one size, in the order in which a campaign meets them."""
    lines = [f"m{row:07d},CO" for row in range(n_molecules)]
    (folder / "molecules.csv").write_text("\n".join(["id,smiles", *lines]) + "\n")
    (folder / "campaign.yaml").write_text(CONFIG.format(shard_size=shard_size))
    snakemake = ["snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", "campaign.yaml"]
    snakemake += ["--cores", "1"]

    def timed(work: str, *command: str) -> Measured:
        return run(folder, n_molecules, work, list(command))

    yield timed("parse the workflow", *snakemake, "--list-rules")
    yield timed("snakemake -n, nothing done", *snakemake, "-n", "--quiet", "all")
    yield timed("prerelax plan", "prerelax", "plan", "campaign.yaml")
    began = time.perf_counter(), time.process_time()
    make_up(folder, n_molecules, shard_size)
    made_up = time.perf_counter() - began[0], time.process_time() - began[1]
    print(
        f"{n_molecules:>8} (made up {len(STAGES)} stages in {made_up[0]:.0f} s, {made_up[1]:.0f} s processor)"
    )
    yield timed("parse the workflow, in a job", *snakemake, "--mode", "remote", "--nolock", "--list-rules")
    yield timed("prerelax status", "prerelax", "status", "campaign.yaml")
    folders = [f"results/scale/{stage}" for stage in STAGES if stage.startswith("relaxed")]
    n_shards = str(-(-n_molecules // shard_size))
    comparison = "results/scale/comparison.csv"
    yield timed("prerelax compare", "prerelax", "compare", comparison, *folders, "--shards", n_shards)
    yield timed("prerelax figures", "prerelax", "figures", comparison, "results/scale/figures")
    run(folder, n_molecules, "snakemake --touch", [*snakemake, "--touch", "--quiet", "all"])
    yield timed("snakemake -n, all done", *snakemake, "-n", "--quiet", "all")
    yield timed("snakemake --report", *snakemake, "--report", "report.html")
    if (folder / "report.html").stat().st_size < 100_000:
        raise SystemExit("the report is empty")


def run(folder: Path, n_molecules: int, work: str, command: list[str]) -> Measured:
    """One program; its output goes to a file beside, and where it fails to the terminal."""
    log = folder / "log"
    began = time.perf_counter()
    with log.open("w") as out:
        program = str(Path(sys.executable).parent / command[0])
        process = subprocess.Popen([program, *command[1:]], cwd=folder, stdout=out, stderr=out)
        _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{work} failed:\n{log.read_text()[-3000:]}")
    return Measured(n_molecules, work, wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def make_up(folder: Path, n_molecules: int, shard_size: int) -> None:
    """Finished shards of every stage."""
    results = folder / "results/scale"
    sharding = Sharding(folder / "molecules.csv", shard_size, results)
    sharding.save()
    random = np.random.default_rng(0)
    for stage, (start, target) in STAGES.items():
        first = results / stage / f"{shard_name(0)}.extxyz"
        write_shard(first, [made_up_record(row, start, target) for row in range(shard_size)])
        table = pq.read_table(table_path(first))
        for number, shard in enumerate(sharding.shards):
            path = results / stage / f"{shard_name(number)}.extxyz"
            if number:
                path.hardlink_to(first)
            n = shard.last - shard.first
            rows = varied(table.slice(0, n), shard.first, target, random)
            # The last shard's frames are more than its rows: its table says nothing of them.
            write_table(table_path(path), rows if n == shard_size else rows.replace_schema_metadata(None))


def made_up_record(row: int, start: str, target: str | None) -> Record:
    atoms = molecule("CH3OH")
    fields = {"id": f"m{row:07d}", "numbers": atoms.numbers, "positions": atoms.positions, "smiles": SMILES}
    fields |= {"start": start, "wall_s": 0.5, "stages_s": {"rdkit": 0.01, "mmff94": 0.01}}
    if target is not None:
        fields |= {"target": target, "converged": True, "n_gradients": 10, "n_steps": 9, "energy_ev": -223.0}
        fields |= {"start_energy_ev": -222.9, "fmax_ev_ang": 0.02, "connectivity_unchanged": True}
        fields |= {"rmsd_ang": 0.05, "rmsd_symmetry_ang": 0.05, "start_positions": atoms.positions}
        fields |= {"stages_s": {"rdkit": 0.01, "mmff94": 0.01, "gfn2": 0.5}}
        fields |= {"settings": '{"engine": "tblite", "method": "GFN2-xTB"}'}
    return Record(**fields)


def varied(table: pa.Table, first: int, target: str | None, random: np.random.Generator) -> pa.Table:
    """`table` with the ids of rows from `first` on, and other numbers where it is of relaxations."""
    n = table.num_rows
    columns = {"id": pa.array([f"m{row:07d}" for row in range(first, first + n)])}
    if target is not None:
        steps = random.integers(3, 60, n)
        columns |= {"n_steps": pa.array(steps), "n_gradients": pa.array(steps + 1)}
        columns["energy_ev"] = pa.array(-223.0 + 0.01 * random.normal(size=n).round(1))
        columns["start_energy_ev"] = pa.array(-222.5 + 0.1 * random.random(n))
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, values.cast(table.schema.field(name).type))
    return table


def write_csv(path: Path, measured: list[Measured]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["molecules", "work", "wall_s", "processor_s", "memory_mb"])
        for each in measured:
            writer.writerow(
                [
                    each.molecules,
                    each.work,
                    f"{each.wall_s:.2f}",
                    f"{each.processor_s:.2f}",
                    f"{each.memory_mb:.0f}",
                ]
            )


def draw(path: Path, measured: list[Measured]) -> None:
    """Processor seconds and memory over molecules, one line for each program."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (seconds, memory) = plt.subplots(1, 2, figsize=(8.5, 3.6), layout="constrained", sharex=True)
    works = list(dict.fromkeys(each.work for each in measured))
    for colour, work in enumerate(works):
        of_work = [each for each in measured if each.work == work]
        sizes = [each.molecules for each in of_work]
        style = {"marker": "o", "ms": 3, "lw": 1.2, "color": f"C{colour}"}
        seconds.plot(sizes, [each.processor_s for each in of_work], label=work, **style)
        memory.plot(sizes, [each.memory_mb for each in of_work], **style)
    seconds.set(xscale="log", yscale="log", xlabel="molecules", ylabel="processor seconds")
    memory.set(xscale="log", yscale="log", xlabel="molecules", ylabel="memory / MB")
    for axes in (seconds, memory):
        axes.grid(color="0.9", lw=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.savefig(path, dpi=200)


if __name__ == "__main__":
    main()
