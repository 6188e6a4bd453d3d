"""What denoisers are trained on. A loss gets the network, a batch of clean geometries and a random stream."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from prerelax.denoisers.denoiser import Denoiser, diffuses_types
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.networks.batch import Batch, centred
from prerelax.training.config import NoOptions
from prerelax.training.data import repeat_for_atoms
from prerelax.training.energy import energy_forces_loss
from prerelax.training.morered_losses import morered_joint_loss, morered_noise_loss, morered_time_loss
from prerelax.training.refinement_loss import refinement_loss
from prerelax.training.staged_loss import staged_refinement_loss

Loss = Callable[..., dict[str, Tensor]]


def noise_loss(
    network: Denoiser,
    batch: Batch,
    schedule: NoiseSchedule,
    steps: tuple[int, int],
    generator: torch.Generator,
    options: NoOptions,
) -> dict[str, Tensor]:
    """EDM's L2 loss: mean squared error of the predicted noise, at steps drawn evenly from `steps`, ends
    included.

    Noise in the positions is centred per molecule. With diffused types their noise counts as further
    coordinates of every atom. Returns `loss` (a scalar with gradient). Source: EDM, Algorithm 1 and its
    published code, which at step 0 scores the types by their likelihood instead; here step 0 is like the
    others.
    """
    low, high = steps
    device = batch.positions.device
    step = torch.randint(low, high + 1, (batch.n_molecules,), generator=generator).to(device)
    alpha = repeat_for_atoms(schedule.alpha.to(device)[step], batch)
    sigma = repeat_for_atoms(schedule.sigma.to(device)[step], batch)
    noise = centred(torch.randn(batch.positions.shape, generator=generator).to(device), batch)
    positions = alpha * centred(batch.positions, batch) + sigma * noise
    features = None
    if diffuses_types(network):
        clean = network.atom_features(batch.numbers)
        feature_noise = torch.randn(clean.shape, generator=generator).to(device)
        features = alpha * clean + sigma * feature_noise
        noise = torch.cat([noise, feature_noise], dim=1)
    predicted = network(batch.with_positions(positions, features), step / schedule.timesteps)
    return {"loss": ((predicted - noise) ** 2).mean()}


LOSSES: dict[str, Loss] = {
    "noise": noise_loss,
    "refinement": refinement_loss,
    "staged-refinement": staged_refinement_loss,
    "morered-joint": morered_joint_loss,
    "morered-noise": morered_noise_loss,
    "morered-time": morered_time_loss,
    "energy-forces": energy_forces_loss,
}
"""Losses a config can name. Their options are the models in `prerelax.training.config`."""
