"""Molecules of given elements from noise, by MoreRed's samplers: a fixed schedule against adaptive ones.

Kahouli et al., MLST 2024, 5, 035038, table 1. Elements are given, positions begin as noise at the schedule's
end and are denoised as in a relaxation.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from prerelax.datasets.structures import Structures
from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.diffusion.morered import Limits, Molecule, Relaxed, relax, sampler_of
from prerelax.diffusion.noise import NoiseStream, SeededNoise
from prerelax.diffusion.samplers import resolve_device
from prerelax.errors import UserError
from prerelax.studies.from_noise.config import Sampling
from prerelax.studies.from_noise.samples import Samples


def check_generates(model: LoadedModel) -> None:
    """Raises UserError for a model that cannot make molecules of noise: not MoreRed's, one with a bond graph,
    or one trained on the last steps only.
    """
    if not isinstance(model.schedule, MoreRedSchedule):
        raise UserError(f"{model.name} is not a MoreRed model; EDMs generate by `prerelax study generation`")
    if model.network.uses_bond_graph:
        raise UserError(
            f"{model.name} needs the bonds of a known molecule (bond graph) and generates none; "
            "train a model without, as config/campaigns/morered-qm9-mini.yaml does"
        )
    last = model.last_trained_step
    if last is not None and last < model.schedule.timesteps - 1:
        raise UserError(
            f"{model.name} was trained on steps up to {last} of {model.schedule.timesteps} alone, "
            "generation needs all"
        )


def draw_compositions(structures: Structures, n: int, seed: int) -> list[NDArray[np.uint8]]:
    """Atomic numbers of `n` molecules in random order; none is drawn again before all have been."""
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(len(structures)) for _ in range(-(-n // len(structures)))]
    return [structures.numbers[structures.atoms_of(row)] for row in np.concatenate(rounds)[:n]]


def sample_from_noise(
    model: LoadedModel,
    compositions: Mapping[str, NDArray[np.integer]],
    sampling: Sampling,
    device: torch.device | str = "auto",
    noise: NoiseStream | None = None,
) -> Samples:
    """A molecule of each composition, by id. It depends on the seed and its id alone, to float sums.

    `ddpm` goes through the whole schedule; the others end where their step is 0, or at `max_iterations`. A
    molecule whose prediction ceases to be finite keeps its last geometry, with the status `unknown_error`.
    Raises UserError for a model that cannot generate, and where it does not serve the sampler.
    """
    check_generates(model)
    chosen = resolve_device(device)
    model.to(chosen)
    steps = model.schedule.timesteps
    ids, elements = list(compositions), list(compositions.values())
    stream = noise if noise is not None else SeededNoise(ids, sampling.seed)
    molecules = [
        Molecule(z, stream.positions([row], [len(z)]).double().numpy()) for row, z in enumerate(elements)
    ]
    at_limits: list[NDArray[np.float32]] = [np.zeros((0, 0, 3), np.float32)] * len(molecules)
    fixed = sampling.sampler == "ddpm"

    def look(row: int, result: Relaxed) -> None:
        at_limits[row] = _at_limits(result, sampling.limits)
        result.trajectory.clear()

    began = time.perf_counter()
    results = relax(
        molecules,
        sampler_of(model, sampling.sampler, steps if fixed else None),
        stream,
        Limits(
            max_iterations=steps if fixed else sampling.max_iterations,
            convergence_step=int(model.sampler_defaults.get("convergence_step", 0)),
            batch_size=sampling.batch_size,
        ),
        device=chosen,
        keep_trajectory=bool(sampling.limits),
        when_done=look,
    )
    return Samples(
        ids=np.array(ids, dtype=np.str_),
        n_atoms=np.array([len(z) for z in elements], dtype=np.int64),
        numbers=np.concatenate(elements).astype(np.uint8),
        positions=np.concatenate([r.positions for r in results]).astype(np.float32),
        status=np.array([r.status for r in results], dtype=np.str_),
        iterations=np.array([len(r.steps) for r in results], dtype=np.int64),
        steps=np.concatenate([np.array(r.steps, dtype=np.int16) for r in results]),
        limits=np.array(sampling.limits, dtype=np.int64),
        positions_at_limits=np.concatenate(at_limits, axis=1),
        seconds=time.perf_counter() - began,
        model=model.name,
        sampler=sampling.sampler,
    )


def _at_limits(result: Relaxed, limits: Sequence[int]) -> NDArray[np.float32]:
    """Geometries [n_limits, n_atoms, 3] Å after so many iterations, or the final one."""
    reached = [
        result.trajectory[limit] if limit < len(result.trajectory) else result.positions for limit in limits
    ]
    return np.stack(reached).astype(np.float32) if reached else np.zeros((0, *result.positions.shape), "f4")
