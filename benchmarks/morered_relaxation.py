"""How near each method brings distorted geometries to their minima: RMSD, failures, iterations, speed.

    python benchmarks/morered_relaxation.py --limit 200 --out results/morered_relaxation

CHNO molecules of `qm9_val.npz` from two kinds of input: `mmff94`, their MMFF94 minima, and `diffused`, their
DFT minima carrying as much of the schedule's noise as gives the same median RMSD. Every method gets the same
geometries; denoisers with a bond graph, and MMFF94, get that of the minimum: the molecule is known. One JSON
file per method and input in `--out`; molecules that are there for the same model are not computed again.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prerelax.datasets.structures import read_npz
from prerelax.denoisers.checkpoint import LoadedModel, load_model
from prerelax.denoisers.model_folders import CONFIG, WEIGHTS, ModelError, find_model
from prerelax.diffusion.noise import SeededNoise
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.molecules.graph import mapped_smiles
from prerelax.molecules.perception import perceived_molecule
from prerelax.molecules.status import PROCEED
from prerelax.molecules.superposition import rmsd
from prerelax.molecules.topology import bonds_from_geometry, topological_distances
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard

Geometry = NDArray[np.floating]
"""[n_atoms, 3] Å"""
ELEMENTS = (1, 6, 7, 8)


@dataclass(frozen=True)
class Inputs:
    """The same molecules for every method."""

    kind: str
    ids: list[str]
    numbers: list[NDArray[np.int64]]
    references: list[Geometry]
    geometries: list[Geometry]

    def select(self, rows: Sequence[int]) -> Inputs:
        return Inputs(
            self.kind,
            [self.ids[row] for row in rows],
            [self.numbers[row] for row in rows],
            [self.references[row] for row in rows],
            [self.geometries[row] for row in rows],
        )

    def rmsds(self, geometries: Sequence[Geometry]) -> list[float]:
        return [rmsd(reference, g) for reference, g in zip(self.references, geometries, strict=True)]


@dataclass(frozen=True)
class Outcome:
    """What a method made of the inputs."""

    geometries: list[Geometry]
    statuses: list[str]
    iterations: list[int | None]
    """network calls or optimizer steps; None where they are not counted"""
    seconds: float
    """of processor time, all threads together"""


@dataclass(frozen=True)
class Denoising:
    """A denoiser's sampler, from the model given with `--joint`, `--pair` or `--edm`."""

    model: str
    sampler: str
    noise_free: bool = False
    steps: int | None = None
    papers_stop: bool = False
    """step 0 or 1000 iterations, whatever the model's own defaults are"""


DENOISERS = {
    "jt": Denoising("joint", "jt"),
    "jt-mean": Denoising("joint", "jt", noise_free=True),
    "jt-paper": Denoising("joint", "jt", papers_stop=True),
    "as": Denoising("pair", "as"),
    "as-mean": Denoising("pair", "as", noise_free=True),
    "as-paper": Denoising("pair", "as", papers_stop=True),
    "itp": Denoising("pair", "itp"),
    "itp-mean": Denoising("pair", "itp", noise_free=True),
    "edm-n20": Denoising("edm", "edm", steps=20),
    "edm-n20-mean": Denoising("edm", "edm", noise_free=True, steps=20),
    "edm-n50": Denoising("edm", "edm", steps=50),
    "edm-n50-mean": Denoising("edm", "edm", noise_free=True, steps=50),
}
METHODS = (*DENOISERS, "gfn2", "mmff94")
TITLES = {
    "jt": "MoreRed-JT",
    "jt-mean": "MoreRed-JT, mean path",
    "jt-paper": "MoreRed-JT, the paper's stop",
    "as": "MoreRed-AS",
    "as-mean": "MoreRed-AS, mean path",
    "as-paper": "MoreRed-AS, the paper's stop",
    "itp": "MoreRed-ITP",
    "itp-mean": "MoreRed-ITP, mean path",
    "edm-n20": "EDM, n = 20",
    "edm-n20-mean": "EDM, n = 20, mean path",
    "edm-n50": "EDM, n = 50",
    "edm-n50-mean": "EDM, n = 50, mean path",
    "gfn2": "GFN2-xTB, L-BFGS",
    "mmff94": "MMFF94",
}


def read_inputs(path: Path, limit: int | None, seed: int) -> list[Inputs]:
    """`limit` molecules with known elements and a start, as `mmff94` and as `diffused`."""
    structures = read_npz(path).with_elements(ELEMENTS)
    if structures.positions_start is None:
        raise SystemExit(f"{path} has no positions_mmff94")
    ids: list[str] = []
    numbers: list[NDArray[np.int64]] = []
    references: list[Geometry] = []
    starts: list[Geometry] = []
    # QM9 is ordered by size: its first molecules are its smallest.
    structures = structures.select(np.random.default_rng(0).permutation(len(structures)))
    for row, (identifier, elements, positions) in enumerate(structures):
        start = structures.positions_start[structures.atoms_of(row)].astype(float)
        if np.isfinite(start).all() and len(elements) > 2:
            ids.append(str(identifier))
            numbers.append(elements.astype(np.int64))
            references.append(positions.astype(float))
            starts.append(start)
    force_field = Inputs("mmff94", ids, numbers, references, starts)
    rows = range(len(ids))[:limit]
    return [force_field.select(rows), diffused(force_field, seed).select(rows)]


def diffused(inputs: Inputs, seed: int) -> Inputs:
    """The references x as √(1 - σ²) x + σ ε, with the σ whose median RMSD is that of `inputs`."""
    # Other streams than the samplers', which would otherwise draw this very noise again.
    stream = SeededNoise([f"diffused/{i}" for i in inputs.ids], seed)
    n_atoms = [len(z) for z in inputs.numbers]
    noise = np.split(stream.positions(range(len(n_atoms)), n_atoms).double().numpy(), np.cumsum(n_atoms)[:-1])
    noise = [part - part.mean(axis=0) for part in noise]
    centred = [reference - reference.mean(axis=0) for reference in inputs.references]

    def at(sigma: float) -> list[Geometry]:
        return [np.sqrt(1 - sigma**2) * x + sigma * e for x, e in zip(centred, noise, strict=True)]

    wanted = np.median(inputs.rmsds(inputs.geometries))
    low, high = 0.0, 1.0
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if np.median(inputs.rmsds(at(middle))) < wanted else (low, middle)
    print(f"diffused: sigma {high:.4f} Å gives the median RMSD {wanted:.4f} Å of the MMFF94 minima")
    return Inputs("diffused", inputs.ids, inputs.numbers, inputs.references, at(high))


def denoise(inputs: Inputs, method: Denoising, model: LoadedModel, batch_size: int) -> Outcome:
    if method.papers_stop:
        stop = {"convergence_step": 0, "max_iterations": 1000}
        config = {**model.config, "sampler": {**model.sampler_defaults, **stop}}
        model = dataclasses.replace(model, config=config)
    graphs = [
        topological_distances(bonds_from_geometry(z, reference))
        for z, reference in zip(inputs.numbers, inputs.references, strict=True)
    ]
    molecules = [
        SamplerInput(*molecule)
        for molecule in zip(inputs.ids, inputs.numbers, inputs.geometries, graphs, strict=True)
    ]
    began = time.process_time()
    results = sample(
        model,
        molecules,
        SamplerOptions(
            sampler=method.sampler,
            steps=method.steps,
            noise_free=method.noise_free,
            batch_size=batch_size,
            device="cpu",
        ),
    )
    seconds = time.process_time() - began
    iterations = [r.n_calls if r.steps_taken is None else len(r.steps_taken) for r in results]
    return Outcome([r.positions for r in results], [r.status for r in results], [*iterations], seconds)


def xtb(inputs: Inputs) -> Outcome:
    """GFN2-xTB with ASE's L-BFGS in other processes: tblite and torch do not share one."""
    options = "--engine tblite --method GFN2-xTB --optimizer lbfgs --fmax 0.03 --max-steps 1000"
    return by_verb(inputs, "relax", options.split())


def force_field(inputs: Inputs) -> Outcome:
    return by_verb(inputs, "forcefield", ["--method", "mmff94"])


def by_verb(inputs: Inputs, verb: str, options: list[str]) -> Outcome:
    """What a verb of the command line makes of the inputs; its seconds include the program's start."""
    molecules = zip(inputs.ids, inputs.numbers, inputs.geometries, inputs.references, strict=True)
    records = [Record(i, z, x, smiles=smiles_of(z, minimum)) for i, z, x, minimum in molecules]
    with tempfile.TemporaryDirectory() as folder:
        inp, out = Path(folder) / "in.extxyz", Path(folder) / "out.extxyz"
        write_shard(inp, records)
        began = _seconds_of_children()
        subprocess.run(
            [sys.executable, "-m", "prerelax", verb, inp, out, *options],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        seconds = _seconds_of_children() - began
        rows = read_shard(out)
    positions, statuses = [row.positions for row in rows], [str(row.status) for row in rows]
    return Outcome(positions, statuses, [row.n_steps for row in rows], seconds)


def _seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def smiles_of(numbers: NDArray[np.int64], minimum: Geometry) -> str:
    """Empty where no valences fit, which the force field then reports as a failure."""
    try:
        return mapped_smiles(perceived_molecule(numbers, minimum, charge=0, multiplicity=None))
    except ValueError:
        return ""


def fingerprint(name_or_path: str) -> str:
    """Of a model's weights and sampler defaults, its time model's included."""
    folder = find_model(name_or_path)
    files = [f for f in (folder / WEIGHTS, folder / CONFIG, folder / "time" / WEIGHTS) if f.exists()]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:16]


def run(
    method: str, inputs: Inputs, options: argparse.Namespace, models: dict[str, LoadedModel]
) -> dict[str, Any]:
    """Results of a method by molecule, those that its file lacks computed and added to it."""
    path = options.out / f"{method}-{inputs.kind}.json"
    key = fingerprint(getattr(options, DENOISERS[method].model)) if method in DENOISERS else ""
    known = json.loads(path.read_text()) if path.exists() else {}
    if known.get("key") != key:
        known = {"key": key, "molecules": {}}
    missing = [row for row, name in enumerate(inputs.ids) if name not in known["molecules"]]
    for first in range(0, len(missing), options.chunk):
        part = inputs.select(missing[first : first + options.chunk])
        if method in DENOISERS:
            denoising = DENOISERS[method]
            outcome = denoise(part, denoising, models[denoising.model], options.batch_size)
        else:
            outcome = xtb(part) if method == "gfn2" else force_field(part)
        known["molecules"] |= molecule_records(part, outcome)
        path.write_text(json.dumps(known))
    return {name: known["molecules"][name] for name in inputs.ids}


def molecule_records(inputs: Inputs, outcome: Outcome) -> dict[str, dict[str, Any]]:
    """By id; the seconds are the mean of those treated together."""
    before, after = inputs.rmsds(inputs.geometries), inputs.rmsds(outcome.geometries)
    columns = zip(inputs.ids, before, after, outcome.statuses, outcome.iterations, strict=True)
    return {
        name: {
            "rmsd_before_ang": old,
            "rmsd_after_ang": new,
            "status": status,
            "iterations": n,
            "seconds": outcome.seconds / len(before),
        }
        for name, old, new, status, n in columns
    }


def summary(kind: str, method: str, molecules: dict[str, Any]) -> dict[str, Any]:
    """One row of the table. A failure is an RMSD that grew, or a status without a result."""
    columns = {name: [m[name] for m in molecules.values()] for name in next(iter(molecules.values()))}
    before, after = np.array(columns["rmsd_before_ang"]), np.array(columns["rmsd_after_ang"])
    statuses = np.array(columns["status"])
    ratio = after / before
    failed = (ratio > 1) | ~np.isin(statuses, sorted(PROCEED))
    iterations = [i for i in columns["iterations"] if i is not None]
    return {
        "input": kind,
        "method": method,
        "n": len(after),
        "rmsd_before_median_ang": np.median(before),
        "rmsd_after_median_ang": np.median(after),
        "ratio_median": np.median(ratio),
        "ratio_quartile_1": np.percentile(ratio, 25),
        "ratio_quartile_3": np.percentile(ratio, 75),
        "failures_fraction": failed.mean(),
        "iterations_median": np.median(iterations) if iterations else None,
        "at_limit_fraction": (statuses == "not_converged").mean(),
        "molecules_per_processor_s": len(after) / sum(columns["seconds"]),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown, one row per method and input, under the input's own RMSD."""
    lines = [
        "| input | method | median RMSD after (Å) | RMSD ratio, median (quartiles) | failures | iterations, "
        "median | at the limit | molecules per processor second |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in dict.fromkeys(row["input"] for row in rows):
        chosen = [row for row in rows if row["input"] == kind]
        lines.append(f"| {kind} | input itself | {chosen[0]['rmsd_before_median_ang']:.4f} | 1 | | | | |")
        lines += [_line(row) for row in chosen]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    ratio = "{ratio_median:.2f} ({ratio_quartile_1:.2f}–{ratio_quartile_3:.2f})".format(**row)
    iterations = "" if row["iterations_median"] is None else f"{row['iterations_median']:.0f}"
    limit = f"{row['at_limit_fraction']:.0%}"
    cells = [row["input"], TITLES[row["method"]], f"{row['rmsd_after_median_ang']:.4f}", ratio]
    cells += [f"{row['failures_fraction']:.1%}", iterations, limit, f"{row['molecules_per_processor_s']:.2g}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results/morered_relaxation"))
    parser.add_argument("--limit", type=int, help="molecules; default: all")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--inputs", nargs="+", choices=("mmff94", "diffused"), default=("mmff94", "diffused"))
    parser.add_argument("--joint", default="morered-jt-qm9-small", help="model of jt: a name or a folder")
    parser.add_argument("--pair", default="morered-pair-qm9-small", help="of as and itp, with `time` inside")
    parser.add_argument("--edm", default="edm-qm9-small")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--chunk", type=int, default=250, help="molecules between two writes of results")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the diffused inputs")
    folder = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=folder / "qm9_val.npz")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)

    needed = {DENOISERS[method].model for method in options.methods if method in DENOISERS}
    try:
        models = {name: load_model(getattr(options, name)) for name in sorted(needed)}
    except ModelError as error:
        raise SystemExit(f"{error}; leave its methods out with --methods") from error
    rows = []
    for inputs in read_inputs(options.data, options.limit, options.seed):
        if inputs.kind not in options.inputs:
            continue
        # The MMFF94 minima are MMFF94's own result.
        methods = [m for m in options.methods if not (m == "mmff94" and inputs.kind == "mmff94")]
        for method in methods:
            rows.append(summary(inputs.kind, method, run(method, inputs, options, models)))
            print(_line(rows[-1]), flush=True)
    if not rows:
        return
    with (options.out / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"\n{rows[0]['n']} molecules\n\n{table(rows)}")


if __name__ == "__main__":
    main()
