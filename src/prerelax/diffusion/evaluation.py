"""How close a denoiser brings MMFF94 geometries to reference minima: the numbers of a model card."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets.structures import read_npz
from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.diffusion.options import Device, SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample, sampler_name
from prerelax.errors import UserError
from prerelax.molecules.superposition import rmsd
from prerelax.molecules.topology import bonds_from_geometry, topological_distances

Geometry = NDArray[np.floating]
"""[n_atoms, 3] Å"""
NOISE_FREE = SamplerOptions(noise_free=True)


class Evaluation(TypedDict):
    """What `evaluate_model` finds. `_start`: of the start geometries."""

    model: str
    sampler: str
    steps: int | None
    calls: int
    noise_free: bool
    n: int
    """molecules compared"""
    n_unsupported: int
    """molecules left out: the model does not know their elements"""
    n_failed: int
    """molecules that were not denoised; they count with their start geometry"""
    bond_mae_ang: float
    """mean absolute error of all distances between bonded atoms"""
    angle_mae_ang: float
    """of all 1-3 distances"""
    rmsd_median_ang: float
    """after optimal superposition"""
    rmsd_grew_fraction: float
    molecules_per_s: float
    bond_mae_ang_start: float
    angle_mae_ang_start: float
    rmsd_median_ang_start: float
    rmsd_grew_fraction_start: float
    molecules_per_s_start: None


def evaluate_model(
    model: LoadedModel, data: Path, options: SamplerOptions = NOISE_FREE, limit: int | None = None
) -> Evaluation:
    """Denoise the start geometries of an npz set (form of qm9_val.npz) and compare them with its minima.

    Only the first `limit` molecules are taken. Bonds are those of the minimum: the molecule is known. Raises
    UserError where no molecule can be evaluated.
    """
    sampler = sampler_name(options, model)
    test = read_evaluation_set(data, model, limit)
    began = time.perf_counter()
    results = sample(model, test.inputs, options)
    seconds = time.perf_counter() - began
    numbers = [np.asarray(molecule.numbers) for molecule in test.inputs]
    before = compare(numbers, test.references, [molecule.positions for molecule in test.inputs])
    after = compare(numbers, test.references, [result.positions for result in results])
    return {
        "model": model.name,
        "sampler": sampler,
        "steps": options.steps or model.sampler_defaults.get("steps"),
        "calls": results[0].n_calls,
        "noise_free": options.noise_free or sampler == "few",
        "n": len(test.inputs),
        "n_unsupported": test.n_unsupported,
        "n_failed": sum(result.status != "ok" for result in results),
        "bond_mae_ang": after.bond_mae_ang,
        "angle_mae_ang": after.angle_mae_ang,
        "rmsd_median_ang": after.rmsd_median_ang,
        "rmsd_grew_fraction": float(np.mean(after.rmsd_ang > before.rmsd_ang)),
        "molecules_per_s": len(test.inputs) / seconds,
        "bond_mae_ang_start": before.bond_mae_ang,
        "angle_mae_ang_start": before.angle_mae_ang,
        "rmsd_median_ang_start": before.rmsd_median_ang,
        "rmsd_grew_fraction_start": 0.0,
        "molecules_per_s_start": None,
    }


CARD_ROWS = (
    SamplerOptions(sampler="edm", steps=50),
    SamplerOptions(sampler="edm", steps=20),
    SamplerOptions(sampler="edm", steps=50, noise_free=True),
    SamplerOptions(sampler="edm", steps=20, noise_free=True),
    SamplerOptions(sampler="few", steps=50, calls=10),
    SamplerOptions(sampler="few", steps=50, calls=6),
    SamplerOptions(sampler="few", steps=50, calls=3),
    SamplerOptions(sampler="few", steps=50, calls=2),
)
"""What a model card shows: the paper's sampler, its noise-free tail, and the deterministic tails."""


def evaluate_card(
    model: LoadedModel, data: Path, limit: int | None = None, device: Device = "auto"
) -> list[Evaluation]:
    """`evaluate_model` for all CARD_ROWS; `card_table` makes a model card's table of the result."""
    rows = [options.model_copy(update={"device": device}) for options in CARD_ROWS]
    return [evaluate_model(model, data, options, limit) for options in rows]


def card_table(rows: Sequence[Evaluation]) -> str:
    """Results of `evaluate_model` on one set as a Markdown table, the start geometry first."""
    columns = ("geometry", "calls", "bonds MAE (Å)", "1-3 distances MAE (Å)", "RMSD median (Å)")
    lines = [_row([*columns, "RMSD grew", "molecules/s"]), _row(["---"] * 7)]
    first = rows[0]
    start = (first["bond_mae_ang_start"], first["angle_mae_ang_start"], first["rmsd_median_ang_start"])
    lines.append(_row(["start", "0", *_figures(*start), "", ""]))
    for row in rows:
        grew, speed = f"{100 * row['rmsd_grew_fraction']:.1f} %", f"{row['molecules_per_s']:.0f}"
        errors = (row["bond_mae_ang"], row["angle_mae_ang"], row["rmsd_median_ang"])
        lines.append(_row([_title(row), str(row["calls"]), *_figures(*errors), grew, speed]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figures(*errors_ang: float) -> list[str]:
    return [f"{error:.4f}" for error in errors_ang]


def _title(row: Evaluation) -> str:
    if row["sampler"] == "few":
        return f"few calls from n = {row['steps']}"
    if row["sampler"] != "edm":
        return f"{row['sampler']}, {'mean path' if row['noise_free'] else 'with noise'}"
    kind = "noise-free tail" if row["noise_free"] else "paper's sampler"
    return f"{kind}, n = {row['steps']}"


@dataclass(frozen=True)
class EvaluationSet:
    """Molecules at their start geometries, and the minima they should reach."""

    inputs: list[SamplerInput]
    references: list[Geometry]
    n_unsupported: int
    """molecules left out because the model does not know their elements"""


def read_evaluation_set(
    data: Path, model: LoadedModel, limit: int | None = None, spread: bool = False
) -> EvaluationSet:
    """The first `limit` molecules of an npz set whose elements `model` knows; with `spread`, every N-th one.

    Raises UserError for none.
    """
    try:
        structures = read_npz(data)
    except (OSError, ValueError) as error:
        raise UserError(f"{data} cannot be evaluated on: {error}") from error
    known = structures.with_elements(model.elements) if model.elements else structures
    n_unsupported = len(structures) - len(known)
    stride = max(len(known) // limit, 1) if limit and spread else 1
    known = known.select(np.arange(len(known))[::stride][:limit])
    if known.positions_start is None:
        raise UserError(f"{data} has no start geometries (positions_mmff94)")
    if not len(known):
        raise UserError(f"{data}: no molecule made only of elements that {model.name} knows")
    inputs: list[SamplerInput] = []
    references: list[Geometry] = []
    starts = np.split(known.positions_start.astype(np.float64), np.cumsum(known.n_atoms)[:-1])
    for (identifier, numbers, positions), start in zip(known, starts, strict=True):
        graph = topological_distances(bonds_from_geometry(numbers, positions))
        inputs.append(SamplerInput(str(identifier), numbers.astype(np.int64), start, graph))
        references.append(positions.astype(np.float64))
    return EvaluationSet(inputs, references, n_unsupported)


@dataclass(frozen=True)
class Comparison:
    """Errors of geometries against their references."""

    bond_errors_ang: NDArray[np.float64]
    """[n_bonds] absolute, over all molecules"""
    angle_errors_ang: NDArray[np.float64]
    """[n_1_3_pairs] absolute"""
    rmsd_ang: NDArray[np.float64]
    """[n_molecules]"""

    @property
    def bond_mae_ang(self) -> float:
        return _mean(self.bond_errors_ang)

    @property
    def angle_mae_ang(self) -> float:
        return _mean(self.angle_errors_ang)

    @property
    def rmsd_median_ang(self) -> float:
        return float(np.median(self.rmsd_ang))


def _mean(errors: NDArray[np.float64]) -> float:
    """nan where there are none."""
    return float(errors.mean()) if len(errors) else float("nan")


def compare(
    numbers: Sequence[NDArray[np.integer]], references: Sequence[Geometry], geometries: Sequence[Geometry]
) -> Comparison:
    """Distances along the references' bonds and angles, and RMSD, molecule by molecule."""
    errors: dict[int, list[NDArray[np.float64]]] = {1: [], 2: []}
    rmsds = np.empty(len(references))
    for row, (z, reference, geometry) in enumerate(zip(numbers, references, geometries, strict=True)):
        graph = np.triu(topological_distances(bonds_from_geometry(z, reference)))
        for hops, collected in errors.items():
            i, j = np.nonzero(graph == hops)
            distance = np.linalg.norm(geometry[i] - geometry[j], axis=1)
            collected.append(np.abs(distance - np.linalg.norm(reference[i] - reference[j], axis=1)))
        rmsds[row] = rmsd(reference, geometry)
    return Comparison(np.concatenate(errors[1]), np.concatenate(errors[2]), rmsds)
