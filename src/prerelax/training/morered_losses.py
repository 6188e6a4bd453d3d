"""What MoreRed's networks are trained on (Kahouli et al., MLST 2024, 5, 035038, and its published configs).

All losses draw a step for every molecule evenly from `steps`, ends included and at most T - 1, and diffuse
its geometry to there. Times are step / (T - 1); every atom of a molecule has the molecule's time as target.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.errors import UserError
from prerelax.networks.batch import Batch, centred
from prerelax.networks.morered import JointNetwork, NoiseNetwork, TimeNetwork
from prerelax.training.config import JointOptions, NoOptions


def morered_joint_loss(
    network: nn.Module,
    batch: Batch,
    schedule: MoreRedSchedule,
    steps: tuple[int, int],
    generator: torch.Generator,
    options: JointOptions,
) -> dict[str, Tensor]:
    """JT: weighted sum of the mean squared errors of noise and time. Raises UserError for other networks."""
    _check(network, JointNetwork, schedule)
    diffused, noise, time = _diffused(batch, schedule, steps, generator)
    predicted, atom_times = network.noise_and_atom_times(diffused)  # type: ignore[operator]
    noise_error = (predicted - noise).square().mean()
    time_error = (atom_times - time[batch.molecule_index]).square().mean()
    return {
        "loss": options.noise_weight * noise_error + options.time_weight * time_error,
        "noise": noise_error,
        "time": time_error,
    }


def morered_noise_loss(
    network: nn.Module,
    batch: Batch,
    schedule: MoreRedSchedule,
    steps: tuple[int, int],
    generator: torch.Generator,
    options: NoOptions,
) -> dict[str, Tensor]:
    """DDPM: mean squared error of the noise, given the time. Raises UserError for other networks."""
    _check(network, NoiseNetwork, schedule)
    diffused, noise, time = _diffused(batch, schedule, steps, generator)
    return {"loss": (network(diffused, time) - noise).square().mean()}


def morered_time_loss(
    network: nn.Module,
    batch: Batch,
    schedule: MoreRedSchedule,
    steps: tuple[int, int],
    generator: torch.Generator,
    options: NoOptions,
) -> dict[str, Tensor]:
    """Mean squared error of the time of every atom. Raises UserError for other networks."""
    _check(network, TimeNetwork, schedule)
    diffused, _, time = _diffused(batch, schedule, steps, generator)
    atom_times: Tensor = network.atom_times(diffused)  # type: ignore[operator]
    return {"loss": (atom_times - time[batch.molecule_index]).square().mean()}


def _diffused(
    batch: Batch, schedule: MoreRedSchedule, steps: tuple[int, int], generator: torch.Generator
) -> tuple[Batch, Tensor, Tensor]:
    """Noised molecules, their noise [n_atoms_total, 3] Å/sigma, centred, and their times [n_molecules]."""
    low, high = steps[0], min(steps[1], schedule.timesteps - 1)
    device = batch.positions.device
    step = torch.randint(low, high + 1, (batch.n_molecules,), generator=generator).to(device)
    noise = centred(torch.randn(batch.positions.shape, generator=generator).to(device), batch)
    of_atoms = step[batch.molecule_index]
    alpha = schedule.alpha.to(device)[of_atoms, None]
    sigma = schedule.sigma.to(device)[of_atoms, None]
    positions = (alpha * centred(batch.positions, batch) + sigma * noise).to(batch.positions.dtype)
    return batch.with_positions(positions), noise, schedule.time(step)


def _check(network: nn.Module, kind: type[nn.Module], schedule: object) -> None:
    if not isinstance(network, kind):
        raise UserError(f"this loss trains a {kind.__name__}, not a {type(network).__name__}")
    if not isinstance(schedule, MoreRedSchedule):
        raise UserError("this loss needs `schedule: {kind: morered}`")
