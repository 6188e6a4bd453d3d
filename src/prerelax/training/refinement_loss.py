"""A denoiser for the starts it will meet: force-field minima beside the schedule's Gaussian noise.

A force field's error is not Gaussian: it is nearly the same for the same bonds everywhere, and a network that
has seen it undoes more of it. So a part of the training geometries are the MMFF94 minima of the structures,
given as step `start_step`; a part are what the network itself made of them, for the calls after the first;
the rest is the diffusion model's own noise, which keeps it a denoiser for any start.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prerelax.diffusion.batch import Batch, centred
from prerelax.diffusion.schedule import NoiseSchedule
from prerelax.errors import UserError

ERROR_SCALES_ANG = (0.06, 0.003, 0.006, 0.03, 0.06)
"""By topological distance (0: more than 4): smaller errors count by their square, larger ones by their size.

About what a small network leaves, so that all kinds of distances go on to matter.
"""
CLASS_WEIGHTS = (0.25, 1.0, 1.0, 0.5, 0.25)


def refinement_loss(
    network: nn.Module,
    batch: Batch,
    schedule: NoiseSchedule,
    steps: tuple[int, int],
    generator: torch.Generator,
    start_step: int = 50,
    start_share: float = 0.6,
    second_step: int = 12,
    second_share: float = 0.2,
    noise_weight: float = 0.1,
) -> dict[str, Tensor]:
    """Errors of the interatomic distances of the estimated minimum, by classes of topological distance, plus
    `noise_weight` × EDM's loss.

    `second_share` of the batches begin at what the network makes of the force-field minima, called step
    `second_step`; in the others `start_share` of the molecules begin at the force-field minimum itself,
    called step `start_step`, the rest at Gaussian noise of steps drawn evenly from `steps`. Raises UserError
    for a training set without starts.
    """
    if batch.positions_start is None or batch.topological_distance is None:
        raise UserError(
            "the loss `refinement` needs a network with `bond_graph` and data with positions_mmff94: "
            "`prerelax add-starts` computes them"
        )
    minimum = centred(batch.positions, batch)
    start = centred(batch.positions_start, batch)
    device = minimum.device
    low, high = steps
    step = torch.randint(low, high + 1, (batch.n_molecules,), generator=generator).to(device)
    noise = centred(torch.randn(minimum.shape, generator=generator).to(device), batch)
    kind = torch.rand(batch.n_molecules, generator=generator).to(device)
    second = float(torch.rand((), generator=generator)) < second_share
    alpha, sigma = schedule.alpha.to(device), schedule.sigma.to(device)

    if second:
        first = torch.full_like(step, start_step)
        with torch.no_grad():
            predicted = network(batch.with_positions(start), first / schedule.timesteps)
        seen = centred(start - float(sigma[start_step] / alpha[start_step]) * predicted, batch)
        step, scale = torch.full_like(step, second_step), torch.ones_like(minimum[:, :1])
    else:
        from_start = kind < start_share
        step = torch.where(from_start, start_step, step)
        of_atoms = step[batch.molecule_index]
        mask = from_start[batch.molecule_index, None]
        scale = torch.where(mask, 1.0, alpha[of_atoms, None])
        seen = torch.where(mask, start, scale * minimum + sigma[of_atoms, None] * noise)
    of_atoms = step[batch.molecule_index]
    # As in `few_calls` a start stands for z_t without the factor alpha; a noised minimum has it.
    size = torch.where(scale == 1.0, sigma[of_atoms, None] / alpha[of_atoms, None], sigma[of_atoms, None])
    predicted = network(batch.with_positions(seen), step / schedule.timesteps)
    estimate = (seen - size * predicted) / scale
    noise_error = (predicted - (seen - scale * minimum) / size).square().clamp(max=25.0).mean()
    errors = _distance_errors(estimate, minimum, batch)
    return {"loss": sum(errors) + noise_weight * noise_error, "noise": noise_error, "bonds": errors[1]}


def _distance_errors(estimate: Tensor, minimum: Tensor, batch: Batch) -> list[Tensor]:
    """Weighted mean pseudo-Huber error of each class of pairs."""
    receiver, sender = batch.pairs
    once = receiver < sender
    receiver, sender = receiver[once], sender[once]
    assert batch.topological_distance is not None
    kind = batch.topological_distance[once]
    error = _distances(estimate, receiver, sender) - _distances(minimum, receiver, sender)
    scales = error.new_tensor(ERROR_SCALES_ANG)[kind]
    huber = torch.sqrt((error / scales).square() + 1.0) - 1.0
    n_kinds = len(CLASS_WEIGHTS)
    sums = huber.new_zeros(n_kinds).index_add(0, kind, huber)
    counts = torch.bincount(kind, minlength=n_kinds).clamp(min=1)
    return list(sums / counts * huber.new_tensor(CLASS_WEIGHTS))


def _distances(positions: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
    return torch.sqrt((positions[receiver] - positions[sender]).square().sum(1) + 1e-8)
