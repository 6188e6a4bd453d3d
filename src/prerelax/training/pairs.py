"""What a denoiser of another level learns from: starts, and the minima that they were relaxed to."""

from __future__ import annotations

from dataclasses import dataclass

from prerelax.datasets.structures import Structures


@dataclass(frozen=True)
class Pairs:
    """Pairs of one level."""

    structures: Structures
    """minima with their starts and graphs"""
    level: str | None
    """`prerelax.records.settings.level_name`; None where the files do not say it"""
    settings_sha256: str | None
    """of the settings that the minima rest on, sorted, one a line"""
    n_gradients: int | None
    """at the level, that all rows of the shards took; None where sets (.npz) do not say"""
    n_left_out: int
    """rows that are no pair: not converged, other bonds, no force-field start"""
