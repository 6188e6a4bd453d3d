"""How sure a denoiser is of what it made of a molecule: how far one more call would still move it.

At a minimum of the level that it was trained at, a denoiser that knows the molecule predicts no displacement.
What it predicts for its own result, the residual, therefore tells its error without a reference
(docs/denoisers.md: how well).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prerelax.diffusion.batch import Batch, centred, molecule_sums
from prerelax.diffusion.checkpoint import LoadedModel
from prerelax.diffusion.edm import State
from prerelax.diffusion.morered_schedule import MoreRedSchedule
from prerelax.diffusion.samplers import MAX_PAIRS, SamplerInput, as_batch, batches, resolve_device
from prerelax.networks.morered import JointNetwork, molecule_time

NOISE_ANG = 0.015
"""The noise that the geometry is said to carry when its residual is asked for."""


@torch.no_grad()
def residuals_ang(
    denoiser: LoadedModel,
    molecules: Sequence[SamplerInput],
    batch_size: int = 64,
    device: torch.device | str = "auto",
) -> NDArray[np.float64]:
    """RMS displacement per atom [n_molecules] in Å that the denoiser would still make, nan for single atoms.

    `molecules` at the geometries to be judged, of elements that the denoiser knows. One network call, at the
    step of the schedule whose noise is NOISE_ANG; a network that predicts its own step is told none.
    """
    chosen = resolve_device(device)
    denoiser.to(chosen)
    bond_graph = bool(getattr(denoiser.network, "uses_bond_graph", False))
    found = np.full(len(molecules), np.nan)
    several = [row for row, molecule in enumerate(molecules) if len(molecule.numbers) > 1]
    for rows in batches(molecules, several, batch_size, MAX_PAIRS.get(chosen.type, MAX_PAIRS["cuda"])):
        judged = [molecules[row] for row in rows]
        centres = [np.asarray(m.positions, dtype=np.float64).mean(axis=0) for m in judged]
        batch = as_batch(judged, centres, bond_graph).to(chosen)
        squares = molecule_sums(_displacement(denoiser, batch).double().square().sum(1), batch)
        found[rows] = (squares / batch.n_atoms).sqrt().cpu().numpy()
    return found


def _displacement(denoiser: LoadedModel, batch: Batch) -> Tensor:
    """[n_atoms_total, 3] Å"""
    schedule, network = denoiser.schedule, denoiser.network
    scale = (schedule.sigma / schedule.alpha).to(batch.positions)
    if isinstance(network, JointNetwork):
        noise, atom_times = network.noise_and_atom_times(batch)
        step = schedule.nearest_step(molecule_time(atom_times, batch)).clamp_min(0)
        return -scale[step][batch.molecule_index, None] * centred(noise, batch)
    nearest = int(torch.searchsorted(scale, NOISE_ANG).clamp(max=len(scale) - 1))
    if isinstance(schedule, MoreRedSchedule):
        times = schedule.time(torch.full_like(batch.n_atoms, nearest))
        return -scale[nearest] * centred(network(batch, times), batch)
    predicted, _ = State.at_geometry(network, batch).predict(network, nearest, schedule)
    return -scale[nearest] * predicted


def residual_limit_ang(denoiser: LoadedModel) -> float | None:
    """The residual above which a result is not trusted; None where the model was not calibrated."""
    limit = (denoiser.config.get("confidence") or {}).get("limit_ang")
    return None if limit is None else float(limit)
