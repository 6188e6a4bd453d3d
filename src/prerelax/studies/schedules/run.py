"""What a network that predicts the time sees in noise, and what becomes of a geometry by a fixed and by an
adaptive schedule (Kahouli et al., MLST 2024, 5, 035038, figures 3b, 7 and 13).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from prerelax.datasets.structures import Structures
from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.diffusion.morered import Limits, Molecule, Relaxed, relax, sampler_of
from prerelax.diffusion.noise import SeededNoise
from prerelax.errors import UserError
from prerelax.molecules.superposition import rmsd
from prerelax.molecules.topology import bonds_from_geometry, topological_distances
from prerelax.networks.batch import make_batch
from prerelax.networks.morered import JointNetwork, TimeNetwork, molecule_time

BATCH_SIZE = 128


@dataclass(frozen=True)
class Noised:
    """Minima with noise added as the diffusion does."""

    molecules: list[Molecule]
    """with the bonds of the minima, for networks with a bond graph"""
    minima: list[NDArray[np.float64]]
    """[n_atoms, 3] Å, centred"""
    steps: list[int]
    """of the schedule, whose noise they carry"""
    radii_ang: NDArray[np.float64]
    """[n] norm of the noise in all 3 n_atoms coordinates, Å"""


def add_noise(
    structures: Structures, schedule: MoreRedSchedule, rows: Sequence[int], steps: Sequence[int], seed: int
) -> Noised:
    """Every minimum of `rows` noised to every step; the noise follows from `seed`, molecule and step."""
    pairs = [(row, step) for step in steps for row in rows]
    noise = SeededNoise([f"{structures.ids[row]}-{step}" for row, step in pairs], seed)
    molecules, minima, radii = [], [], []
    for place, (row, step) in enumerate(pairs):
        numbers, minimum = _minimum(structures, row)
        drawn = noise.positions([place], [len(numbers)]).double().numpy()
        added = float(schedule.sigma[step]) * (drawn - drawn.mean(axis=0))
        molecules.append(_molecule(numbers, minimum, float(schedule.alpha[step]) * minimum + added))
        minima.append(minimum)
        radii.append(np.linalg.norm(added))
    return Noised(molecules, minima, [step for _, step in pairs], np.array(radii))


def _minimum(structures: Structures, row: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Atomic numbers [n_atoms] and centred positions [n_atoms, 3] Å."""
    atoms = structures.atoms_of(row)
    minimum = structures.positions[atoms].astype(np.float64)
    return structures.numbers[atoms], minimum - minimum.mean(axis=0)


def _molecule(
    numbers: NDArray[np.integer], minimum: NDArray[np.floating], positions: NDArray[np.floating]
) -> Molecule:
    return Molecule(numbers, positions, topological_distances(bonds_from_geometry(numbers, minimum)))


def _last_known_step(model: LoadedModel) -> int:
    known, final = model.last_trained_step, model.morered_schedule.timesteps - 1
    return final if known is None else min(known, final)


def _check_steps(model: LoadedModel, last: int) -> None:
    known = _last_known_step(model)
    if last > known:
        raise UserError(f"{model.name} knows the steps up to {known}, not {last}")


@torch.no_grad()
def predicted_steps(model: LoadedModel, molecules: Sequence[Molecule]) -> NDArray[np.int64]:
    """The step [n] that the model sees in each geometry; -1 where it is not finite.

    Raises UserError for a model that predicts no time.
    """
    network = model.network
    if not isinstance(network, JointNetwork | TimeNetwork) or not isinstance(model.schedule, MoreRedSchedule):
        raise UserError(f"{model.name} predicts no time step; models of morered-joint and morered-time do")
    found = []
    for first in range(0, len(molecules), BATCH_SIZE):
        part = molecules[first : first + BATCH_SIZE]
        bonds = [m.topological_distance for m in part if m.topological_distance is not None]
        batch = make_batch([m.numbers for m in part], [m.positions for m in part], bonds)
        times = (
            network(batch)
            if isinstance(network, TimeNetwork)
            else molecule_time(network.noise_and_atom_times(batch)[1], batch)
        )
        found.append(model.schedule.nearest_step(times).numpy())
    return np.concatenate(found)


def shells(
    model: LoadedModel, structures: Structures, n_molecules: int, n_steps: int, seed: int = 0
) -> pd.DataFrame:
    """Minima noised to `n_steps` evenly spaced steps, of those that the model was trained on: a row for each
    with `dimension` (3 (n_atoms - 1), what centring leaves), `sigma_ang`, `radius_ang` (norm of the noise),
    the true `step` and the `predicted` one.
    """
    steps = np.unique(np.linspace(0, _last_known_step(model), n_steps).round().astype(int)).tolist()
    rows = _drawn(len(structures), n_molecules, seed)
    noised = add_noise(structures, model.morered_schedule, rows, steps, seed)
    predicted = predicted_steps(model, noised.molecules)
    return pd.DataFrame(
        {
            "id": [int(structures.ids[row]) for _ in steps for row in rows],
            "dimension": [3 * (len(m.numbers) - 1) for m in noised.molecules],
            "step": noised.steps,
            "sigma_ang": [float(model.schedule.sigma[step]) for step in noised.steps],
            "radius_ang": noised.radii_ang,
            "predicted": predicted,
        }
    )


SCHEDULES = {"fixed": "itp", "adaptive": "jt"}
"""Samplers of a joint network: the first predicted step counted down, or the step predicted every time."""


MMFF94 = "MMFF94 minima"


def compare_schedules(
    model: LoadedModel,
    structures: Structures,
    n_molecules: int,
    steps: Sequence[int],
    max_iterations: int = 1000,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Noised minima, and MMFF94 minima where the set has them, denoised by either schedule.

    Both are given the same noise. Returns a row for each iteration (`schedule`, `start`, `id`, `iteration`,
    `step` taken, `predicted` from the geometry before it) and one for each molecule (`rmsd_before_ang`,
    `rmsd_after_ang` to the minimum after rotation and translation, `iterations`, `status`). Networks with a
    bond graph are given that of the minimum. Raises UserError for a model that is not joint or does not know
    these steps.
    """
    _check_steps(model, max(steps, default=0))
    if not isinstance(model.network, JointNetwork):
        raise UserError(f"{model.name} is not a joint model, which both schedules are compared with")
    rows = _drawn(len(structures), n_molecules, seed)
    noised = add_noise(structures, model.morered_schedule, rows, steps, seed)
    molecules, minima = list(noised.molecules), list(noised.minima)
    starts = [f"noised to step {step}" for step in noised.steps]
    if structures.positions_start is not None:
        for row in rows:
            numbers, minimum = _minimum(structures, row)
            start = structures.positions_start[structures.atoms_of(row)].astype(np.float64)
            molecules.append(_molecule(numbers, minimum, start))
            minima.append(minimum)
            starts.append(MMFF94)
    ids = [int(structures.ids[rows[place % len(rows)]]) for place in range(len(molecules))]
    along, ends = [], []
    for schedule, sampler in SCHEDULES.items():
        noise = SeededNoise([f"{i}/{start}" for i, start in zip(ids, starts, strict=True)], seed)
        results = relax(
            molecules,
            sampler_of(model, sampler),
            noise,
            Limits(max_iterations=max_iterations, batch_size=BATCH_SIZE),
            keep_trajectory=True,
        )
        for place, result in enumerate(results):
            about: dict[str, str | int] = {"schedule": schedule, "start": starts[place], "id": ids[place]}
            along.append(_along(model, sampler, molecules[place], result).assign(**about))
            ends.append(
                {
                    **about,
                    "rmsd_before_ang": rmsd(molecules[place].positions, minima[place]),
                    "rmsd_after_ang": rmsd(result.positions, minima[place]),
                    "iterations": len(result.steps),
                    "status": result.status,
                }
            )
    return pd.concat(along, ignore_index=True), pd.DataFrame(ends)


def _along(model: LoadedModel, sampler: str, molecule: Molecule, result: Relaxed) -> pd.DataFrame:
    predicted = (
        np.asarray(result.steps)
        if sampler == "jt"
        else predicted_steps(model, [replace(molecule, positions=x) for x in result.trajectory])
    )
    return pd.DataFrame(
        {"iteration": np.arange(len(result.steps)), "step": result.steps, "predicted": predicted}
    )


def _drawn(n: int, wanted: int, seed: int) -> list[int]:
    """At most `wanted` of `n` rows, at random."""
    drawn: list[int] = np.random.default_rng(seed).permutation(n)[:wanted].tolist()
    return drawn


def summarise_schedules(ends: pd.DataFrame) -> pd.DataFrame:
    """Median RMSD before and after, RMSD ratio, failures (ratio above 1), iterations and statuses, by
    start and schedule.
    """
    ratio = ends["rmsd_after_ang"] / ends["rmsd_before_ang"]
    grouped = ends.assign(ratio=ratio, failed=ratio > 1, arrived=ends["status"] == "ok").groupby(
        ["start", "schedule"], sort=False
    )
    return grouped.agg(
        n=("ratio", "size"),
        rmsd_before_ang_median=("rmsd_before_ang", "median"),
        rmsd_after_ang_median=("rmsd_after_ang", "median"),
        ratio_median=("ratio", "median"),
        failures_percent=("failed", lambda flags: 100 * flags.mean()),
        arrived_percent=("arrived", lambda flags: 100 * flags.mean()),
        iterations_median=("iterations", "median"),
    ).reset_index()


def summarise_shells(table: pd.DataFrame) -> pd.DataFrame:
    """How well the step is told from a geometry, and how thin the shell is on which noise lies."""
    seen = table[table["predicted"] >= 0]
    error = (seen["predicted"] - seen["step"]).abs()
    relative = table["radius_ang"] / (table["sigma_ang"] * np.sqrt(table["dimension"]))
    low, high = relative.quantile([0.025, 0.975])
    return pd.DataFrame(
        [
            ("geometries", float(len(table))),
            ("molecules", float(table["id"].nunique())),
            ("last step", float(table["step"].max())),
            ("median dimension", float(table["dimension"].median())),
            ("radius / (sigma sqrt(dimension)), mean", float(relative.mean())),
            ("the same, 2.5 %", float(low)),
            ("the same, 97.5 %", float(high)),
            ("Pearson r of predicted and true step", float(seen["predicted"].corr(seen["step"]))),
            ("mean absolute error of the step", float(error.mean())),
            ("median absolute error of the step", float(error.median())),
        ],
        columns=["quantity", "ours"],
    )
