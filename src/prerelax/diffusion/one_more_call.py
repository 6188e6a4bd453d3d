"""What one more network call would still change of geometries, most of all of those that a denoiser made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.diffusion.edm import State
from prerelax.diffusion.samplers import (
    MAX_PAIRS,
    SamplerInput,
    as_batch,
    batches,
    resolve_device,
    topology,
)
from prerelax.networks.batch import Batch, centred
from prerelax.networks.morered import JointNetwork, molecule_time

NOISE_ANG = 0.028
"""The noise that a geometry is assumed to carry when its residual is computed: step 20 of 1000. Of the steps
1, 5, 10, 20 and 50 it separates good from bad results best, across molecules and among similar ones."""

LAST_NOISE_ANG = 0.0075
"""Assumed for geometries that still carry the noise of EDM's last step (0.0032 Å in each coordinate), to
remove it before the residual is measured. After a call at NOISE_ANG the network would have nothing left to
change."""

Changes = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Å: of a molecule's bond lengths, and of its 1-3 distances."""


@torch.no_grad()
def changes_by_one_more_call(
    denoiser: LoadedModel,
    molecules: Sequence[SamplerInput],
    batch_size: int = 128,
    device: torch.device | str = "auto",
    noisy: bool = False,
) -> list[Changes]:
    """What one more call would change, molecule by molecule; nothing where the denoiser cannot be asked.

    The call is made at the step of the schedule whose noise is nearest to NOISE_ANG; a network that predicts
    its own step is asked at that one. `noisy`: the geometries carry the noise of EDM's last step, which is
    not the network's error; one more call removes it first.
    """
    chosen = resolve_device(device)
    denoiser.to(chosen)
    bond_graph = denoiser.network.uses_bond_graph
    found = [(np.zeros(0), np.zeros(0)) for _ in molecules]
    known = set(denoiser.elements)
    several = [
        row
        for row, molecule in enumerate(molecules)
        if len(molecule.numbers) > 1 and (not known or known.issuperset(molecule.numbers.tolist()))
    ]
    for rows in batches(molecules, several, batch_size, MAX_PAIRS.get(chosen.type, MAX_PAIRS["cuda"])):
        asked = [molecules[row] for row in rows]
        centres = [np.asarray(m.positions, dtype=np.float64).mean(axis=0) for m in asked]
        batch = as_batch(asked, centres, bond_graph).to(chosen)
        if noisy:
            batch = batch.with_positions(_one_more_call(denoiser, batch, LAST_NOISE_ANG))
        after = _one_more_call(denoiser, batch, NOISE_ANG)
        pairs = torch.split(
            torch.stack([batch.positions, after], dim=1).double().cpu(), batch.n_atoms.tolist()
        )
        for row, molecule, pair in zip(rows, asked, pairs, strict=True):
            found[row] = changes_of_distances(topology(molecule), pair[:, 0].numpy(), pair[:, 1].numpy())
    return found


def _one_more_call(denoiser: LoadedModel, batch: Batch, noise_ang: float) -> Tensor:
    """The geometries [n_atoms_total, 3] Å after one more call, made as if they carried this noise."""
    schedule, network = denoiser.schedule, denoiser.denoiser
    scale = (schedule.sigma / schedule.alpha).to(batch.positions)
    if isinstance(network, JointNetwork):
        noise, atom_times = network.noise_and_atom_times(batch)
        steps = denoiser.morered_schedule.nearest_step(molecule_time(atom_times, batch)).clamp_min(0)
        return batch.positions - scale[steps][batch.molecule_index, None] * centred(noise, batch)
    step = int((scale - noise_ang).abs().argmin())
    if isinstance(schedule, MoreRedSchedule):
        times = schedule.time(torch.full_like(batch.n_atoms, step))
        return batch.positions - scale[step] * centred(network(batch, times), batch)
    predicted, _ = State.at_geometry(network, batch).predict(network, step, schedule)
    return batch.positions - scale[step] * predicted


def changes_of_distances(
    hops: NDArray[np.uint8], before: NDArray[np.float64], after: NDArray[np.float64]
) -> Changes:
    """From `before` to `after` [n_atoms, 3] Å; `hops` [n_atoms, n_atoms] bonds apart."""

    def change(apart: int) -> NDArray[np.float64]:
        i, j = np.nonzero(np.triu(hops) == apart)
        lengths = [np.linalg.norm(positions[i] - positions[j], axis=1) for positions in (before, after)]
        return np.asarray(lengths[1] - lengths[0], dtype=float)

    return change(1), change(2)
