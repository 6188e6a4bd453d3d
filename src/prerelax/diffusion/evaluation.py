"""How near a denoiser brings MMFF94 geometries to reference minima: the figures of a model card."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prerelax.datasets.structures import read_npz
from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.errors import UserError
from prerelax.molecules.superposition import rmsd
from prerelax.molecules.topology import bonds_from_geometry, topological_distances

Geometry = NDArray[np.floating]
"""[n_atoms, 3] Å"""


def evaluate_model(
    model: LoadedModel,
    data: Path,
    steps: int | None = None,
    limit: int | None = None,
    sampler: str | None = None,
    noise_free: bool = True,
    calls: int | None = None,
    fixed_types: bool = False,
    batch_size: int = 64,
    device: torch.device | str = "auto",
    seed: int = 0,
) -> dict[str, Any]:
    """Denoise the start geometries of an npz set (form of qm9_val.npz) and compare them with its minima.

    Returns `bond_mae_ang` and `angle_mae_ang` (mean absolute error of all distances between bonded atoms and
    of all 1-3 distances), `rmsd_median_ang` (after optimal superposition), `rmsd_grew_fraction`, the same
    with the suffix `_start` for the start geometries, `molecules_per_s`, `n` (molecules compared),
    `n_unsupported` (left out for elements the model does not know), `n_failed` (left out of nothing: they
    count with their start geometry) and the options. Bonds are those of the minimum: the molecule is known.
    Sampler and steps default to the model's own. Raises UserError where no molecule can be evaluated.
    """
    sampler = sampler or str(model.sampler_defaults.get("name", "edm"))
    test = read_evaluation_set(data, model, limit)
    began = time.perf_counter()
    results = sample(
        model, test.inputs, sampler, steps, fixed_types, noise_free, batch_size, device, seed, calls=calls
    )
    seconds = time.perf_counter() - began
    numbers = [np.asarray(molecule.numbers) for molecule in test.inputs]
    before = compare(numbers, test.references, [molecule.positions for molecule in test.inputs])
    after = compare(numbers, test.references, [result.positions for result in results])
    return {
        "model": model.name,
        "sampler": sampler,
        "steps": steps if steps is not None else model.sampler_defaults.get("steps"),
        "calls": results[0].n_calls,
        "noise_free": noise_free or sampler == "few",
        "n": len(test.inputs),
        "n_unsupported": test.n_unsupported,
        "n_failed": sum(result.status != "ok" for result in results),
        **after.means(""),
        "rmsd_grew_fraction": float(np.mean(after.rmsd_ang > before.rmsd_ang)),
        "molecules_per_s": len(test.inputs) / seconds,
        **before.means("_start"),
        "rmsd_grew_fraction_start": 0.0,
        "molecules_per_s_start": None,
    }


CARD_ROWS: tuple[dict[str, Any], ...] = (
    {"sampler": "edm", "steps": 50, "noise_free": False},
    {"sampler": "edm", "steps": 20, "noise_free": False},
    {"sampler": "edm", "steps": 50, "noise_free": True},
    {"sampler": "edm", "steps": 20, "noise_free": True},
    {"sampler": "few", "steps": 50, "calls": 10},
    {"sampler": "few", "steps": 50, "calls": 6},
    {"sampler": "few", "steps": 50, "calls": 3},
    {"sampler": "few", "steps": 50, "calls": 2},
)
"""What a model card shows: the paper's sampler, its noise-free tail, and the tails of few calls."""


def evaluate_card(
    model: LoadedModel, data: Path, limit: int | None = None, device: torch.device | str = "auto"
) -> list[dict[str, Any]]:
    """`evaluate_model` for all CARD_ROWS: what `card_table` makes a model card's table of."""
    return [evaluate_model(model, data, limit=limit, device=device, **row) for row in CARD_ROWS]


def card_table(rows: Sequence[dict[str, Any]]) -> str:
    """Results of `evaluate_model` on one set as a Markdown table, the start geometry first."""
    columns = ("geometry", "calls", "bonds MAE (Å)", "1-3 distances MAE (Å)", "RMSD median (Å)")
    lines = [_row([*columns, "RMSD grew", "molecules/s"]), _row(["---"] * 7)]
    lines.append(_row(["start", "0", *_figures(rows[0], "_start"), "", ""]))
    for row in rows:
        grew, speed = f"{100 * row['rmsd_grew_fraction']:.1f} %", f"{row['molecules_per_s']:.0f}"
        lines.append(_row([_title(row), str(row["calls"]), *_figures(row, ""), grew, speed]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figures(row: dict[str, Any], suffix: str) -> list[str]:
    return [f"{row[key + suffix]:.4f}" for key in ("bond_mae_ang", "angle_mae_ang", "rmsd_median_ang")]


def _title(row: dict[str, Any]) -> str:
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
    """The first `limit` molecules of an npz set whose elements `model` knows; with `spread` from all over it.

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

    def means(self, suffix: str) -> dict[str, float]:
        values = {
            "bond_mae_ang": self.bond_errors_ang.mean() if len(self.bond_errors_ang) else np.nan,
            "angle_mae_ang": self.angle_errors_ang.mean() if len(self.angle_errors_ang) else np.nan,
            "rmsd_median_ang": np.median(self.rmsd_ang),
        }
        return {f"{key}{suffix}": float(value) for key, value in values.items()}


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
