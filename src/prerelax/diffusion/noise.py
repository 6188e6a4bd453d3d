"""Random numbers of samplers: a stream per molecule, so that a result does not depend on batch mates."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class NoiseStream(Protocol):
    """A source of noise for a sampler. Molecules are named by their row in the list given to the
    sampler.
    """

    def positions(self, rows: Sequence[int], n_atoms: Sequence[int]) -> Tensor:
        """The next standard normal noise [sum(n_atoms), 3] of these molecules, not yet centred."""
        ...

    def features(self, rows: Sequence[int], n_atoms: Sequence[int], width: int) -> Tensor:
        """The next standard normal noise [sum(n_atoms), width] of their diffused types."""
        ...


class SeededNoise:
    """Independent streams from a seed and each molecule's id: the same id and seed give the same noise."""

    def __init__(self, ids: Sequence[str], seed: int) -> None:
        self._position_streams = [_stream(identifier, seed, "positions") for identifier in ids]
        self._feature_streams = [_stream(identifier, seed, "features") for identifier in ids]

    def positions(self, rows: Sequence[int], n_atoms: Sequence[int]) -> Tensor:
        return self._draw(self._position_streams, rows, n_atoms, 3)

    def features(self, rows: Sequence[int], n_atoms: Sequence[int], width: int) -> Tensor:
        return self._draw(self._feature_streams, rows, n_atoms, width)

    @staticmethod
    def _draw(
        streams: list[np.random.Generator], rows: Sequence[int], n_atoms: Sequence[int], width: int
    ) -> Tensor:
        parts = [
            streams[r].standard_normal((n, width), np.float32) for r, n in zip(rows, n_atoms, strict=True)
        ]
        return torch.from_numpy(np.concatenate(parts))


class ZeroNoise:
    """No noise: a sampler's mean path."""

    def positions(self, rows: Sequence[int], n_atoms: Sequence[int]) -> Tensor:
        return torch.zeros(sum(n_atoms), 3)

    def features(self, rows: Sequence[int], n_atoms: Sequence[int], width: int) -> Tensor:
        return torch.zeros(sum(n_atoms), width)


def _stream(identifier: str, seed: int, purpose: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{identifier}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
