"""Generating chains as flat arrays, and their file, which `prerelax study generation chains` writes.

Imports numpy alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.errors import UserError
from prerelax.reading import read_arrays


@dataclass(frozen=True)
class Chains:
    """Every state on the way from noise to molecules. Atoms of one molecule are contiguous."""

    n_atoms: NDArray[np.int64]
    """[n_molecules]"""
    positions: NDArray[np.float32]
    """[T + 2, n_atoms_total, 3] Å: z_T, …, z_0, x"""
    numbers: NDArray[np.uint8]
    """[T + 2, n_atoms_total] atomic numbers of the largest type feature; of x those of z_0"""
    sigma: NDArray[np.float64]
    """[T + 1] Å, noise at every step of the schedule"""
    model: str = ""

    @property
    def timesteps(self) -> int:
        """T"""
        return len(self.sigma) - 1

    @property
    def steps_left(self) -> NDArray[np.int64]:
        """[T + 2] network calls still to come at each state: T + 1, …, 1, 0"""
        return np.arange(len(self.positions) - 1, -1, -1)

    def __iter__(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
        """positions [T + 2, n, 3] Å and numbers [T + 2, n] of every molecule."""
        ends = np.cumsum(self.n_atoms)
        for n, end in zip(self.n_atoms, ends, strict=True):
            yield self.positions[:, end - n : end], self.numbers[:, end - n : end]


def write_chains(path: Path, chains: Chains) -> None:
    """Write what `read_chains` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part.npz")
    np.savez(temporary, **vars(chains))
    temporary.replace(path)


def read_chains(path: Path) -> Chains:
    """Read chains. Raises UserError for a file that does not hold any."""
    try:
        arrays = read_arrays(path)
        return Chains(
            arrays["n_atoms"],
            arrays["positions"],
            arrays["numbers"],
            arrays["sigma"],
            str(arrays["model"]),
        )
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path}: holds no generating chains ({error}); run `prerelax study generation chains`"
        ) from error
