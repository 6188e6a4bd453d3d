"""A denoiser for the starts it will meet: force-field minima beside the schedule's Gaussian noise.

A force field's error is not Gaussian: it is nearly the same for the same bonds everywhere, and a network that
has seen it undoes more of it. So a part of the training geometries are the MMFF94 minima of the structures,
given as step `start_step`; a part are what the network itself made of them, for the calls after the first;
the rest is the diffusion model's own noise, which keeps it a denoiser for any start.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.errors import UserError
from prerelax.networks.batch import Batch, centred
from prerelax.training.config import RefinementOptions

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
    options: RefinementOptions,
) -> dict[str, Tensor]:
    """Errors of the interatomic distances of the estimated minimum, by classes of topological distance, plus
    `noise_weight` × EDM's loss where there is Gaussian noise.

    `second_share` of the batches begin at what the network makes of the force-field minima, called step
    `second_step`; in the others `start_share` of the molecules begin at the force-field minimum itself,
    called step `start_step`, the rest at Gaussian noise of steps drawn evenly from `steps`. Raises UserError
    for a training set without starts.
    """
    if batch.positions_start is None or batch.topological_distance is None:
        raise UserError(
            "the loss `refinement` needs a network with `bond_graph` and data with positions_mmff94: "
            "`prerelax data add-starts` computes them"
        )
    minimum = centred(batch.positions, batch)
    start = centred(batch.positions_start, batch)
    device = minimum.device
    step = torch.randint(steps[0], steps[1] + 1, (batch.n_molecules,), generator=generator).to(device)
    noise = centred(torch.randn(minimum.shape, generator=generator).to(device), batch)
    noised = (torch.rand(batch.n_molecules, generator=generator) >= options.start_share).to(device)
    second = float(torch.rand((), generator=generator)) < options.second_share
    alpha, sigma = schedule.alpha.to(device), schedule.sigma.to(device)

    def predicted_at(positions: Tensor, step: Tensor) -> Tensor:
        predicted: Tensor = network(batch.with_positions(positions), step / schedule.timesteps)
        return predicted

    if second:
        noised, given_step = torch.zeros_like(noised), options.second_step
        size = sigma[options.start_step] / alpha[options.start_step]
        with torch.no_grad():
            start = centred(
                start - size * predicted_at(start, torch.full_like(step, options.start_step)), batch
            )
    else:
        given_step = options.start_step
    step = torch.where(noised, step, given_step)
    of_atoms, atom_noised = step[batch.molecule_index, None], noised[batch.molecule_index, None]
    seen = torch.where(atom_noised, alpha[of_atoms] * minimum + sigma[of_atoms] * noise, start)
    predicted = predicted_at(seen, step)
    # As in `few_calls` a start stands for z_t without the factor alpha.
    estimate = seen - sigma[of_atoms] / alpha[of_atoms] * predicted
    errors = distance_errors(estimate, minimum, batch, ~noised)
    noise_error = ((predicted - noise) * atom_noised).square().sum() / (3 * atom_noised.sum().clamp(min=1))
    return {
        "loss": sum(errors) + options.noise_weight * noise_error,
        "noise": noise_error,
        "bonds": errors[1],
    }


def distance_errors(
    estimate: Tensor, minimum: Tensor, batch: Batch, which: Tensor, scale: float = 1.0
) -> list[Tensor]:
    """Weighted mean pseudo-Huber error of each class of pairs, of the molecules `which` [n_molecules].

    `scale` multiplies ERROR_SCALES_ANG.
    """
    receiver, sender = batch.pairs
    once = (receiver < sender) & which[batch.molecule_index[receiver]]
    receiver, sender = receiver[once], sender[once]
    assert batch.topological_distance is not None
    kind = batch.topological_distance[once]
    error = _distances(estimate, receiver, sender) - _distances(minimum, receiver, sender)
    scales = scale * error.new_tensor(ERROR_SCALES_ANG)[kind]
    huber = torch.sqrt((error / scales).square() + 1.0) - 1.0
    n_kinds = len(CLASS_WEIGHTS)
    sums = huber.new_zeros(n_kinds).index_add(0, kind, huber)
    counts = torch.bincount(kind, minlength=n_kinds).clamp(min=1)
    return list(sums / counts * huber.new_tensor(CLASS_WEIGHTS))


def _distances(positions: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
    return torch.sqrt((positions[receiver] - positions[sender]).square().sum(1) + 1e-8)
