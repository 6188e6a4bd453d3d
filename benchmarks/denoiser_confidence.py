"""Does a denoiser know when it is wrong? Measures of its confidence against errors that they should predict.

    .venv/bin/python benchmarks/denoiser_confidence.py FOLDER [--model edm-qm9-small] [--molecules 300]
        [--sets qm9 druglike ...] [--gfn2 qm9] [--time-model morered-jt-qm9-small]

Real molecules of $PRERELAX_DATA, H C N O only, from the MMFF94 minimum reached from the reference geometry
(`embedded`: from RDKit's embedding itself, whose conformer is another one, so that only its bonds say much).
What a constant for each kind of bond or 1-3 pair explains is the difference of levels and is taken off the
errors of `gdb17` (GFN2-xTB) and `druglike` (B3LYP-D3BJ in another basis). `disguised` are molecules with
fluorine that the model is told is hydrogen: what an element outside its knowledge would look like if nobody
refused it. Shards, GFN2-xTB minima of the sets named by --gfn2, and the measures are kept in FOLDER.

Printed as Markdown: errors by set; for each measure Spearman's r with the mean bond error within every set
and over all of them, and the area under the ROC curve over all sets for failures: a mean bond error above
0.01 Å, bonds worse than the start's, 1-3 distances worse, RMSD grown; what errors residuals stand for; how
many molecules of each set the model's limit turns down. No DFT is run.
"""

from __future__ import annotations

import argparse
import gzip
import os
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rdkit import Chem
from scipy.stats import rankdata, spearmanr

from prerelax.denoisers.checkpoint import LoadedModel, load_model
from prerelax.diffusion.confidence import ConfidenceLimit, limit_of, residuals_ang
from prerelax.diffusion.edm import State
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.molecules.graph import bonded_matrix, connectivity_unchanged, mol_from_mapped_smiles
from prerelax.molecules.superposition import rmsd
from prerelax.molecules.topology import topological_distances
from prerelax.networks.batch import make_batch
from prerelax.networks.morered import JointNetwork, molecule_time
from prerelax.networks.staged import StagedNetwork
from prerelax.records.record import Record
from prerelax.records.shard import read_shard
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.embed import embed_again, embed_shard
from prerelax.starts.forcefield import forcefield_shard

Floats = NDArray[np.float64]
DATA = Path(os.environ.get("PRERELAX_DATA", "../shared/data"))
SETS = ("qm9", "training", "embedded", "gdb17", "druglike", "disguised")
OTHER_LEVEL = ("gdb17", "druglike")
"""Their references are of another level than the denoisers were trained at: C–H bonds differ by 0.008 Å."""
POOLED = ("qm9", "training", "embedded", "gdb17", "druglike")
"""`disguised` is wrong by construction."""
STEPS = (1, 5, 20, 50)
RESIDUAL = "residual"
"""The package's own: bonds and 1-3 distances, step 20."""
BY_PAPER = "error: residual after the paper's sampler"
NOISY = 60
"""Molecules that the paper's sampler, which takes 51 calls, is tried on."""
BINS_ANG = (0.0, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.010, np.inf)


def main() -> None:
    """Gather what FOLDER lacks, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="edm-qm9-small")
    parser.add_argument("--time-model", help="a MoreRed joint model whose predicted times are tried as well")
    parser.add_argument("--molecules", type=int, default=300, help="of each set at most")
    parser.add_argument("--sets", nargs="*", default=SETS, choices=SETS)
    parser.add_argument("--gfn2", nargs="*", default=["qm9", "druglike"], choices=SETS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(arguments.model)
    time_model = load_model(arguments.time_model) if arguments.time_model else None
    found: dict[str, dict[str, Floats]] = {}
    for name in arguments.sets:
        cache = arguments.folder / f"{name}-{model.name}.npz"
        if not cache.exists():
            chosen = cases(name, arguments.folder / name, arguments.molecules, name in arguments.gfn2)
            np.savez(
                cache,
                **measures_and_errors(
                    model, time_model, chosen, noisy=name == "qm9", other_level=name in OTHER_LEVEL
                ),
            )
        with np.load(cache) as table:
            found[name] = dict(table)
    print_errors(found)
    tables = [found[name] for name in POOLED if name in found]
    common = [key for key in tables[-1] if all(key in table for table in tables)]
    pooled = {key: np.concatenate([table[key] for table in tables]) for key in common}
    print_measures(found, pooled)
    print_bins(pooled)
    print_limit(found, limit_of(model))


@dataclass(frozen=True)
class Case:
    """A molecule: its reference geometry, where it starts, and what the denoiser is told."""

    given: SamplerInput
    smiles: str
    real_numbers: NDArray[np.int64]
    reference: Floats
    gfn2: Floats | None
    """the GFN2-xTB minimum of the start"""


def cases(name: str, folder: Path, limit: int, with_gfn2: bool) -> list[Case]:
    """The molecules of a set, made by the package's own stages."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {stage: folder / f"{stage}.extxyz" for stage in ("reference", "start", "gfn2")}
    if not paths["start"].exists():
        embed_shard(molecule_file(name, folder, limit), paths["reference"], None, 1, 42)
        if name == "embedded":
            embed_again(paths["reference"], paths["start"], 42, "embedded")
        else:
            forcefield_shard(paths["reference"], paths["start"], "mmff94", None, "mmff94")
    if with_gfn2 and not paths["gfn2"].exists():
        gfn2 = Relaxation(engine="tblite", method="GFN2-xTB", optimizer="bfgs")
        relax_shard(paths["start"], paths["gfn2"], gfn2, named=Named(start="gfn2"))
    relaxed = read_shard(paths["gfn2"]) if paths["gfn2"].exists() else []
    minima = {record.id: record.positions for record in relaxed if record.status == "ok"}
    pairs = zip(read_shard(paths["reference"]), read_shard(paths["start"]), strict=True)
    return [
        case_of(reference, start, minima.get(start.id))
        for reference, start in pairs
        if start.proceeds and connectivity_unchanged(start.smiles, start.numbers, reference.positions)
    ]


def molecule_file(name: str, folder: Path, limit: int) -> Path:
    if name in ("druglike", "gdb17"):
        source = "druglike_b3lyp_d3bj.sdf.gz" if name == "druglike" else "gdb17_gfn2.sdf.gz"
        return sdf_molecules(DATA / source, folder / "molecules.sdf", limit)
    source = DATA / ("qm9_train.npz" if name == "training" else "qm9_val.npz")
    out = folder / "molecules.npz"
    with np.load(source) as table:
        ends = np.cumsum(table["n_atoms"])
        begins, numbers, positions = ends - table["n_atoms"], table["numbers"], table["positions"]
        order = np.arange(len(ends))
        if name == "training":
            order = np.random.default_rng(0).permutation(order)
        fluorinated = [9 in numbers[begins[i] : ends[i]] for i in order]
        rows = [
            i
            for i, has_fluorine in zip(order, fluorinated, strict=True)
            if has_fluorine == (name == "disguised")
        ]
        rows = rows[:limit]
        atoms = np.concatenate([np.arange(begins[i], ends[i]) for i in rows])
        parts = {"ids": table["ids"][rows], "n_atoms": table["n_atoms"][rows]}
        np.savez(out, numbers=numbers[atoms], positions=positions[atoms], **parts)
    return out


def sdf_molecules(source: Path, out: Path, limit: int, elements: Set[str] = frozenset("HCNO")) -> Path:
    """The first conformer of neutral molecules of `elements`, from all over the file."""
    charges = (DATA / "druglike_charges.txt").read_text().splitlines()
    seen = {line.split()[0] for line in charges if line.strip()}
    chosen = []
    for row, record in enumerate(gzip.decompress(source.read_bytes()).decode().split("$$$$\n")):
        lines = record.splitlines()
        if len(lines) < 5:
            continue
        name = next(iter(lines[0].split()[1:]), f"row{row}")
        symbols = {line.split()[3] for line in lines[4 : 4 + int(lines[3][:3])]}
        if name not in seen and symbols <= elements:
            chosen.append("\n".join([name, *lines[1:]]) + "\n$$$$\n")
        seen.add(name)
    out.write_text("".join(chosen[:: max(len(chosen) // limit, 1)][:limit]))
    return out


def case_of(reference: Record, start: Record, gfn2: Floats | None) -> Case:
    numbers = np.where(start.numbers == 9, 1, start.numbers)
    graph = topological_distances(bonded_matrix(mol_from_mapped_smiles(start.smiles)))
    given = SamplerInput(start.id, numbers, start.positions, graph)
    return Case(given, start.smiles, start.numbers, reference.positions, gfn2)


def measures_and_errors(
    model: LoadedModel, time_model: LoadedModel | None, chosen: list[Case], noisy: bool, other_level: bool
) -> dict[str, Floats]:
    """[n_molecules] each: measures of confidence, and `error ...`; `noisy`: the paper's sampler as well."""
    inputs = [case.given for case in chosen]
    # Small batches: this runs beside other work.
    options = SamplerOptions(sampler="few", batch_size=16, device="cpu")
    tail = sample(model, inputs, options, keep_trajectory=True)
    ends = [result.positions for result in tail]
    staged = isinstance(model.network, StagedNetwork)  # makes its own calls and no others
    others = {
        f"its own and {step} in 3 calls": [
            r.positions for r in sample(model, inputs, options.model_copy(update={"steps": step, "calls": 3}))
        ]
        for step in (() if staged else (20, 50))
    }
    reference_model = limit_of(model).reference_model
    found = {RESIDUAL: residuals_ang(reference_model, at(inputs, ends), 16, "cpu")}
    if noisy and not staged:
        some = inputs[:NOISY]
        paper = options.model_copy(update={"sampler": "edm", "steps": 50})
        by_paper = [r.positions for r in sample(model, some, paper)]
        found[BY_PAPER] = residuals_ang(reference_model, at(some, by_paper), 16, "cpu", noisy=True)
    for step in STEPS:
        moved = [end + move for end, move in zip(ends, one_more_call(model, inputs, ends, step), strict=True)]
        found |= changes(f"residual, {{}}, step {step}", inputs, ends, moved)
    previous = [result.trajectory[-2] for result in tail if result.trajectory]
    found |= changes("last call, {}", inputs, previous, ends)
    for name, geometries in others.items():
        found |= changes(f"spread between {name}, {{}}", inputs, ends, geometries)
    found |= changes("start to end, {}", inputs, [m.positions for m in inputs], ends)
    if time_model is not None:
        found["JT's time at the end"] = predicted_times(time_model, at(inputs, ends))
        found["JT's time at the start"] = predicted_times(time_model, inputs)
    found["number of atoms"] = np.array([len(m.numbers) for m in inputs], dtype=float)
    return found | errors(chosen, ends, other_level)


def at(molecules: Sequence[SamplerInput], positions: Sequence[Floats]) -> list[SamplerInput]:
    return [replace(m, positions=x) for m, x in zip(molecules, positions, strict=True)]


@torch.no_grad()
def one_more_call(
    model: LoadedModel, molecules: Sequence[SamplerInput], ends: Sequence[Floats], step: int
) -> list[Floats]:
    """The displacement [n_atoms, 3] Å that one more call at `step` would make."""
    size = float(model.schedule.sigma[step] / model.schedule.alpha[step])
    moves = []
    for molecule, end in zip(molecules, ends, strict=True):
        batch = make_batch([molecule.numbers], [end - end.mean(axis=0)], [molecule.topological_distance])
        predicted, _ = State.at_geometry(model.network, batch).predict(model.network, step, model.schedule)
        moves.append(-size * predicted.double().numpy())
    return moves


@torch.no_grad()
def predicted_times(model: LoadedModel, molecules: Sequence[SamplerInput]) -> Floats:
    assert isinstance(model.network, JointNetwork)
    times = []
    for m in molecules:
        batch = make_batch([m.numbers], [m.positions - m.positions.mean(axis=0)], [m.topological_distance])
        times.append(float(molecule_time(model.network.noise_and_atom_times(batch)[1], batch)))
    return np.array(times)


def changes(
    title: str, molecules: Sequence[SamplerInput], before: Sequence[Floats], after: Sequence[Floats]
) -> dict[str, Floats]:
    """Between two geometries: RMS displacement, mean change of bonds and 1-3 distances, largest of a bond."""
    pairs = list(zip(molecules, before, after, strict=True))
    return {
        title.format("RMS"): np.array([np.sqrt(((a - b) ** 2).sum(axis=1).mean()) for _, b, a in pairs]),
        title.format("bonds and 1-3"): np.array([distances(m, b, a, (1, 2)).mean() for m, b, a in pairs]),
        title.format("largest bond"): np.array([distances(m, b, a, (1,)).max() for m, b, a in pairs]),
    }


def distances(molecule: SamplerInput, a: Floats, b: Floats, hops: tuple[int, ...]) -> Floats:
    i, j = np.nonzero(np.isin(np.triu(molecule.topological_distance), hops))
    return np.abs(np.linalg.norm(a[i] - a[j], axis=1) - np.linalg.norm(b[i] - b[j], axis=1))


def errors(chosen: list[Case], ends: list[Floats], other_level: bool) -> dict[str, Floats]:
    """Against the reference; for one of `other_level` without what a constant per kind of pair explains."""
    geometries: dict[str, list[Floats | None]] = {
        "denoised": list(ends),
        "start": [case.given.positions for case in chosen],
        "gfn2": [case.gfn2 for case in chosen],
    }
    found = {}
    for name, places in geometries.items():
        for kind, hops in (("bonds", 1), ("1-3", 2)):
            found[f"error {name} {kind}"] = mean_errors(chosen, places, hops, other_level)
        distance = [
            np.nan if x is None else rmsd(c.reference, x) for c, x in zip(chosen, places, strict=True)
        ]
        found[f"error {name} RMSD"] = np.array(distance)
    pairs = list(zip(chosen, ends, strict=True))
    broken = [not connectivity_unchanged(c.smiles, c.real_numbers, x) for c, x in pairs]
    return found | {"error broken": np.array(broken, dtype=float)}


def mean_errors(chosen: list[Case], places: list[Floats | None], hops: int, other_level: bool) -> Floats:
    """[n_molecules] mean absolute deviation of pairs so many bonds apart, nan without a geometry."""
    rows, kinds, deviations = [], [], []
    for place, (case, x) in enumerate(zip(chosen, places, strict=True)):
        if x is None:
            continue
        order = Chem.GetAdjacencyMatrix(mol_from_mapped_smiles(case.smiles), useBO=True)
        for i, j in np.argwhere(np.triu(case.given.topological_distance) == hops):
            rows.append(place)
            kinds.append((*sorted((case.real_numbers[i], case.real_numbers[j])), order[i, j]))
            was = np.linalg.norm(case.reference[i] - case.reference[j])
            deviations.append(np.linalg.norm(x[i] - x[j]) - was)
    table = pd.DataFrame({"row": rows, "kind": kinds, "deviation": deviations})
    if other_level:
        table["deviation"] -= table.groupby("kind")["deviation"].transform("median")
    means = table["deviation"].abs().groupby(table["row"]).mean()
    return means.reindex(range(len(chosen))).to_numpy(dtype=float)


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |")


def heading(*cells: str) -> None:
    print()
    row(*cells)
    row(*["---"] * len(cells))


def print_errors(found: dict[str, dict[str, Floats]]) -> None:
    heading(
        "set",
        "molecules",
        "atoms",
        "bonds MAE: start, denoised, GFN2 / Å",
        "1-3 MAE / Å",
        "RMSD grew",
        "broken",
    )
    for name, table in found.items():
        cells = [name, len(table["number of atoms"]), f"{np.median(table['number of atoms']):.0f}"]
        for kind in ("bonds", "1-3"):
            cells.append(
                ", ".join(mean_of(table[f"error {g} {kind}"]) for g in ("start", "denoised", "gfn2"))
            )
        grew = np.mean(table["error denoised RMSD"] > table["error start RMSD"])
        row(*cells, f"{100 * grew:.0f} %", int(table["error broken"].sum()))


def mean_of(values: Floats) -> str:
    known = values[np.isfinite(values)]
    return f"{known.mean():.4f}" if len(known) else "–"


def print_measures(found: dict[str, dict[str, Floats]], pooled: dict[str, Floats]) -> None:
    bonds, angles = pooled["error denoised bonds"], pooled["error denoised 1-3"]
    failures = {
        "bonds > 0.01 Å": bonds > 0.01,
        "bonds worse than start": bonds > pooled["error start bonds"],
        "1-3 worse": angles > pooled["error start 1-3"],
        "RMSD grew": pooled["error denoised RMSD"] > pooled["error start RMSD"],
    }
    sets = [name for name in found if name in POOLED]
    heading(
        "measure", *(f"r, {name}" for name in sets), "r, all", "r, all, 1-3", *(f"AUC, {f}" for f in failures)
    )
    for name, values in pooled.items():
        if name.startswith("error"):
            continue
        within = [correlation(found[s][name], found[s]["error denoised bonds"]) for s in sets]
        overall = [correlation(values, bonds), correlation(values, angles)]
        row(name, *within, *overall, *(f"{area_under_curve(values, f):.2f}" for f in failures.values()))


def correlation(a: Floats, b: Floats) -> str:
    return f"{spearmanr(a, b)[0]:.2f}"


def area_under_curve(score: Floats, failed: NDArray[np.bool_]) -> float:
    """That a failed molecule has a higher score than one that did not fail (Mann-Whitney)."""
    n_failed, n_fine = int(failed.sum()), int((~failed).sum())
    if not n_failed or not n_fine:
        return float("nan")
    return (rankdata(score)[failed].sum() - n_failed * (n_failed + 1) / 2) / (n_failed * n_fine)


def print_bins(pooled: dict[str, Floats]) -> None:
    residual, bonds = pooled[RESIDUAL], pooled["error denoised bonds"]
    heading(
        "residual / Å",
        "molecules",
        "bond error, median / Å",
        "90 %",
        "1-3 error, median / Å",
        "bonds worse than start",
    )
    for low, high in pairwise(BINS_ANG):
        here = (residual >= low) & (residual < high)
        if here.any():
            worse = np.mean((bonds > pooled["error start bonds"])[here])
            numbers = [np.median(bonds[here]), np.quantile(bonds[here], 0.9)]
            numbers.append(np.median(pooled["error denoised 1-3"][here]))
            row(
                f"{low:.3f}–{high:.3f}",
                int(here.sum()),
                *(f"{n:.4f}" for n in numbers),
                f"{100 * worse:.0f} %",
            )


def print_limit(found: dict[str, dict[str, Floats]], limit: ConfidenceLimit) -> None:
    if limit.median_limit_ang is None:
        print("\nThe model is not calibrated: `prerelax models calibrate`.")
        return
    print(f"\nLimit from {limit.median_atoms:.0f} atoms on: {limit.median_limit_ang:g} Å.")
    heading(
        "set",
        "molecules",
        "turned down",
        "of the paper's sampler",
        "bond error kept / Å",
        "turned down / Å",
        "GFN2 there / Å",
    )
    for name, table in found.items():
        limits = np.array([limit.limit_ang(int(n)) for n in table["number of atoms"]])
        down = table[RESIDUAL] > limits
        noisy = table.get(BY_PAPER, np.empty(0))
        by_paper = f"{np.sum(noisy > limits[: len(noisy)])} of {len(noisy)}" if len(noisy) else "–"
        bonds = table["error denoised bonds"]
        kept, rest = mean_of(bonds[~down]), mean_of(bonds[down])
        row(
            name,
            len(down),
            int(down.sum()),
            by_paper,
            kept,
            rest,
            mean_of(table["error gfn2 bonds"][down]),
        )


if __name__ == "__main__":
    main()
