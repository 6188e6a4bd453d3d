"""The noise schedule of MoreRed (Kahouli et al., MLST 2024, 5, 035038) and a step along it.

Steps are the integers 0…T - 1, and already step 0 carries noise. It differs from EDM's schedule in its
grid, in the order of clipping and precision, and in its precision of float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SMALLEST_STEP_RATIO = 1e-3
"""ᾱ never falls below this fraction of its value one step before, which keeps single steps stable."""


@dataclass(frozen=True, eq=False)
class MoreRedSchedule:
    """The table ᾱ [T] and what follows from it. Samplers and losses index it by integer step."""

    alpha_bar: Tensor
    """[T] float64, share of the clean geometry in the variance"""

    def __post_init__(self) -> None:
        if self.alpha_bar.ndim != 1 or len(self.alpha_bar) < 2:
            raise ValueError(f"a noise schedule has at least two steps, not {tuple(self.alpha_bar.shape)}")

    @classmethod
    def polynomial(
        cls, timesteps: int = 1000, precision: float = 1e-5, power: float = 2.0
    ) -> MoreRedSchedule:
        """ᾱ = (1 - 2 precision) (1 - (s / T)^power)² + precision at s = 1…T, for the steps 0…T - 1.

        Raises ValueError for fewer than two steps or a precision outside 0…0.5.
        """
        if timesteps < 2:
            raise ValueError(f"timesteps must be at least 2, not {timesteps}")
        if not 0 < precision < 0.5:
            raise ValueError(f"precision must lie between 0 and 0.5, not {precision}")
        grid = np.linspace(0.0, 1.0, timesteps + 1)
        unclipped = (1.0 - grid**power) ** 2
        ratios = np.clip(unclipped[1:] / unclipped[:-1], SMALLEST_STEP_RATIO, 1.0)
        return cls(torch.from_numpy((1.0 - 2.0 * precision) * np.cumprod(ratios) + precision))

    @property
    def timesteps(self) -> int:
        """T"""
        return len(self.alpha_bar)

    @property
    def alpha(self) -> Tensor:
        """[T] factor of the clean geometry"""
        return self.alpha_bar.sqrt()

    @property
    def sigma(self) -> Tensor:
        """[T] standard deviation of the noise that a geometry carries, Å"""
        return (1.0 - self.alpha_bar).sqrt()

    @property
    def beta(self) -> Tensor:
        """[T] variance that one step adds"""
        previous = torch.cat([self.alpha_bar.new_ones(1), self.alpha_bar[:-1]])
        return 1.0 - self.alpha_bar / previous

    @property
    def posterior_sigma(self) -> Tensor:
        """[T] standard deviation of the noise of a step back (lower bound), Å; step 0 repeats step 1's."""
        beta_bar = 1.0 - self.alpha_bar
        variance = self.beta[1:] * beta_bar[:-1] / beta_bar[1:]
        return torch.cat([variance[:1], variance]).sqrt()

    def time(self, step: Tensor) -> Tensor:
        """Times 0…1 of integer steps, float32 as the networks take them."""
        return step.to(torch.float32) / (self.timesteps - 1)

    def nearest_step(self, time: Tensor) -> Tensor:
        """Integer steps of times 0…1, halves to the even one; -1 for a time that is not finite."""
        step = torch.round(time.to(torch.float64) * (self.timesteps - 1))
        return step.nan_to_num(-1.0, -1.0, -1.0).to(torch.int64)

    def step_back(self, positions: Tensor, predicted_noise: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """One step of the reverse chain, positions [n_atoms, 3] Å in float64.

        `predicted_noise` and the fresh `noise` [n_atoms, 3] are centred per molecule; `step` [n_atoms].
        x' = (x - β/√(1-ᾱ) ε) / √(1-β) + σ z, without σ z at step 0 (paper, eq. 4, and its code).
        """
        per_step = torch.stack([self.beta, self.sigma, self.posterior_sigma], dim=1).to(positions.device)
        beta, sigma, posterior_sigma = torch.split(per_step.index_select(0, step), 1, dim=1)
        mean = (positions.double() - beta / sigma * predicted_noise.double()) / (1.0 - beta).sqrt()
        moved: Tensor = mean + posterior_sigma * (step > 0)[:, None] * noise
        return moved
