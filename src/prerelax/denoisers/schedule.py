"""The polynomial noise schedule of EDM.

Steps are integers 0…T; step s has z_s = alpha_s x + sigma_s eps with alpha_s² + sigma_s² = 1 and
gamma_s = log(sigma_s² / alpha_s²). Sources: Hoogeboom et al., ICML 2022 (EDM), and its published code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SMALLEST_STEP_RATIO = 1e-3
"""alpha² never falls below this fraction of its value one step before, which keeps single steps stable."""


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The table gamma [T + 1] and what follows from it. Samplers and losses index it by integer step."""

    gamma: Tensor
    """[T + 1] log(sigma² / alpha²), float32"""

    def __post_init__(self) -> None:
        if self.gamma.ndim != 1 or len(self.gamma) < 2:
            raise ValueError(
                f"a noise schedule is a table of T + 1 values, not of shape {tuple(self.gamma.shape)}"
            )

    @classmethod
    def polynomial(cls, timesteps: int = 1000, precision: float = 1e-5, power: float = 2.0) -> NoiseSchedule:
        """alpha²_s = (1 - 2 precision) (1 - (s / T)^power)² + precision, on the published code's grid.

        Raises ValueError for fewer than one step or a precision outside 0…0.5.
        """
        if timesteps < 1:
            raise ValueError(f"timesteps must be at least 1, not {timesteps}")
        if not 0 < precision < 0.5:
            raise ValueError(f"precision must lie between 0 and 0.5, not {precision}")
        count = timesteps + 1
        grid = np.linspace(0.0, count, count) / count
        alpha2 = (1.0 - grid**power) ** 2
        ratios = alpha2 / np.concatenate([[1.0], alpha2[:-1]])
        alpha2 = np.cumprod(np.clip(ratios, SMALLEST_STEP_RATIO, 1.0))
        alpha2 = (1.0 - 2.0 * precision) * alpha2 + precision
        return cls(torch.from_numpy(np.log1p(-alpha2) - np.log(alpha2)).float())

    @property
    def timesteps(self) -> int:
        """T"""
        return len(self.gamma) - 1

    @property
    def sigma(self) -> Tensor:
        """[T + 1] standard deviation of the noise in z_s (Å for positions)"""
        return torch.sigmoid(self.gamma).sqrt()

    @property
    def alpha(self) -> Tensor:
        """[T + 1] factor of the clean geometry in z_s"""
        return torch.sigmoid(-self.gamma).sqrt()
