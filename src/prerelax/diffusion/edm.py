"""EDM's reverse diffusion entered at a geometry: the last n steps, or a deterministic tail of a few calls.

Sources: Hoogeboom et al., ICML 2022, and the published code as used in Chem. Sci. 2024, 15, 13506: the clean
geometry stands at step n without added noise and without the factor alpha; then n ancestral steps; then
x ~ p(x | z_0), also with noise. That is n + 1 network calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prerelax.denoisers.denoiser import Denoiser, as_denoiser, diffuses_types
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion.noise import NoiseStream
from prerelax.diffusion.options import SamplerOptions
from prerelax.errors import UserError
from prerelax.networks.batch import Batch, centred
from prerelax.networks.staged import StagedNetwork

Watcher = Callable[[Tensor], None]
"""Told the positions [n_atoms_total, 3] Å after every network call."""


AS_PUBLISHED = SamplerOptions()
"""With noise, and with types that diffuse along."""


@dataclass
class State:
    """z: noised positions and, where the network diffuses types, noised features."""

    batch: Batch
    positions: Tensor
    """[n_atoms_total, 3] Å, centred"""
    features: Tensor | None
    """[n_atoms_total, n_types], None where types are not diffused"""

    @classmethod
    def at_geometry(cls, network: Denoiser, batch: Batch) -> State:
        """The clean geometry of the batch, and clean features where the network diffuses them."""
        features = network.atom_features(batch.numbers) if diffuses_types(network) else None
        return cls(batch, centred(batch.positions, batch), features)

    def predict(self, network: Denoiser, step: int, schedule: NoiseSchedule) -> tuple[Tensor, Tensor | None]:
        """Noise of the positions, centred, and of the features, predicted for this state at `step`."""
        time = torch.full_like(self.batch.n_atoms, step, dtype=self.positions.dtype) / schedule.timesteps
        noise = network(self.batch.with_positions(self.positions, self.features), time)
        return centred(noise[:, :3], self.batch), noise[:, 3:] if self.features is not None else None


@torch.no_grad()
def tail(
    network: Denoiser,
    schedule: NoiseSchedule,
    batch: Batch,
    n_steps: int,
    noise: NoiseStream,
    rows: Sequence[int],
    options: SamplerOptions = AS_PUBLISHED,
    watch: Watcher | None = None,
) -> Tensor:
    """The last `n_steps` steps from the geometry of the batch; positions [n_atoms_total, 3] Å, centred.

    `rows` name the molecules of the batch to the noise stream. Only `fixed_types` and
    `noise_free` of the options are used. Raises UserError for steps outside 1…T.
    """
    check_steps(n_steps, schedule)
    state = State.at_geometry(network, batch)
    for step in range(n_steps, 0, -1):
        state = ancestral_step(network, schedule, state, step, noise, rows, options)
        if watch is not None:
            watch(state.positions)
    positions = sample_data(network, schedule, state, noise, rows, options)
    if watch is not None:
        watch(positions)
    return positions


def check_steps(n_steps: int, schedule: NoiseSchedule) -> None:
    """Raise UserError for a number of steps outside 1…T."""
    if not 1 <= n_steps <= schedule.timesteps:
        raise UserError(f"the number of steps must lie within 1…{schedule.timesteps}, not {n_steps}")


def transition(schedule: NoiseSchedule, step: int) -> tuple[float, float]:
    """alpha_ts and sigma²_ts of q(z_t | z_s) = N(alpha_ts z_s, sigma²_ts) for t = step, s = step - 1."""
    gamma_s, gamma_t = schedule.gamma[step - 1], schedule.gamma[step]
    softplus, log_sigmoid = nn.functional.softplus, nn.functional.logsigmoid
    # In terms of gamma, because differences of nearly equal alphas and sigmas would lose their digits.
    variance_ts = float(-torch.expm1(softplus(gamma_s) - softplus(gamma_t)))
    alpha_ts = float(torch.exp(0.5 * (log_sigmoid(-gamma_t) - log_sigmoid(-gamma_s))))
    return alpha_ts, variance_ts


def ancestral_step(
    network: Denoiser,
    schedule: NoiseSchedule,
    state: State,
    step: int,
    noise: NoiseStream,
    rows: Sequence[int],
    options: SamplerOptions,
) -> State:
    """z_s ~ p(z_s | z_t) for t = step, s = step - 1."""
    alpha_ts, variance_ts = transition(schedule, step)
    sigma_s, sigma_t = float(schedule.sigma[step - 1]), float(schedule.sigma[step])
    spread = variance_ts**0.5 * sigma_s / sigma_t

    predicted, predicted_features = state.predict(network, step, schedule)
    positions = state.positions / alpha_ts - (variance_ts / alpha_ts / sigma_t) * predicted
    if not options.noise_free:
        positions = positions + spread * fresh_noise(noise, rows, state.batch)
    features = state.features
    if features is not None and predicted_features is not None and not options.fixed_types:
        features = features / alpha_ts - (variance_ts / alpha_ts / sigma_t) * predicted_features
        if not options.noise_free:
            drawn = noise.features(rows, state.batch.n_atoms.tolist(), features.shape[1])
            features = features + spread * drawn.to(features)
    return State(state.batch, centred(positions, state.batch), features)


def sample_data(
    network: Denoiser,
    schedule: NoiseSchedule,
    state: State,
    noise: NoiseStream,
    rows: Sequence[int],
    options: SamplerOptions,
) -> Tensor:
    """x ~ p(x | z_0), whose standard deviation is sigma_0 / alpha_0 (0.0032 Å for EDM's schedule)."""
    predicted, _ = state.predict(network, 0, schedule)
    positions = (state.positions - float(schedule.sigma[0]) * predicted) / float(schedule.alpha[0])
    if options.noise_free:
        return positions
    spread = float(torch.exp(0.5 * schedule.gamma[0]))
    return positions + spread * fresh_noise(noise, rows, state.batch)


def fresh_noise(noise: NoiseStream, rows: Sequence[int], batch: Batch) -> Tensor:
    """The molecules' next standard normal noise [n_atoms_total, 3], centred per molecule."""
    drawn = noise.positions(rows, batch.n_atoms.tolist())
    return centred(drawn.to(batch.positions), batch)


def few_call_steps(n_steps: int, n_calls: int) -> list[int]:
    """The steps at which `n_calls` calls are made from step `n_steps` down, denser towards the end.

    Raises UserError for fewer than one call or more calls than steps.
    """
    if not 1 <= n_calls <= n_steps:
        raise UserError(f"{n_calls} calls cannot be made within {n_steps} steps")
    fractions = [(1.0 - i / n_calls) ** FEW_CALL_POWER for i in range(n_calls)]
    return [max(round(n_steps * f), n_calls - i) for i, f in enumerate(fractions)]


FEW_CALL_POWER = 2.0
"""From n = 50: 6 calls at 50, 35, 22, 12, 6, 1; 3 calls at 50, 22, 6."""


def tail_of_calls(network: Denoiser, n_steps: int, n_calls: int) -> list[tuple[Denoiser, int]]:
    """The network and the step of each call; a network in stages prescribes both.

    Raises UserError as `few_call_steps`, and for other calls than a network in stages makes.
    """
    if not isinstance(network, StagedNetwork):
        return [(network, step) for step in few_call_steps(n_steps, n_calls)]
    if (n_steps, n_calls) != (network.steps[0], len(network.steps)):
        raise UserError(
            f"a model in stages makes its {len(network.steps)} calls from step {network.steps[0]}, no others"
        )
    return [(as_denoiser(stage), step) for stage, step in zip(network.stages, network.steps, strict=True)]


@torch.no_grad()
def few_calls(
    calls: Sequence[tuple[Denoiser, int]],
    schedule: NoiseSchedule,
    batch: Batch,
    watch: Watcher | None = None,
) -> Tensor:
    """A deterministic tail (`tail_of_calls`): each call estimates the clean geometry at its step, not above
    that of the one before; positions [n_atoms_total, 3] Å, centred.

    Unlike DDIM (Song et al. 2021) it puts nothing of the predicted noise back between two calls: a force
    field's error is not the noise of the schedule, and putting it back only delays its removal. Types that
    the networks diffuse are held at their clean values.
    """
    state = State.at_geometry(calls[0][0], batch)
    for network, step in calls:
        predicted, _ = state.predict(network, step, schedule)
        alpha, sigma = float(schedule.alpha[step]), float(schedule.sigma[step])
        # As at the start of the tail the geometry stands for z_s without the factor alpha.
        state = State(batch, centred(state.positions - (sigma / alpha) * predicted, batch), state.features)
        if watch is not None:
            watch(state.positions)
    return state.positions
