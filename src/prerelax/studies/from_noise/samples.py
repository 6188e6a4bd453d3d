"""Molecules drawn from noise as flat arrays, and their file, which `prerelax study from-noise sample` writes.

Imports numpy alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.errors import UserError
from prerelax.reading import read_arrays
from prerelax.records.atomic_write import write_atomically


@dataclass(frozen=True)
class Samples:
    """Molecules that a sampler made of noise. Atoms of one molecule are contiguous."""

    ids: NDArray[np.str_]
    """[n_molecules]"""
    n_atoms: NDArray[np.int64]
    """[n_molecules]"""
    numbers: NDArray[np.uint8]
    """[n_atoms_total] atomic numbers"""
    positions: NDArray[np.float32]
    """[n_atoms_total, 3] Å"""
    status: NDArray[np.str_]
    """[n_molecules] ok, not_converged (still at a step above 0 at the limit), unknown_error (blew up)"""
    iterations: NDArray[np.int64]
    """[n_molecules]"""
    steps: NDArray[np.int16]
    """[sum of iterations] the schedule's step of every iteration, molecule after molecule"""
    limits: NDArray[np.int64]
    """[n_limits] iterations after which molecules were looked at as well"""
    positions_at_limits: NDArray[np.float32]
    """[n_limits, n_atoms_total, 3] Å; where a molecule was done before, its final geometry"""
    seconds: float
    """wall time of all of them together"""
    model: str
    sampler: str

    def __len__(self) -> int:
        return len(self.ids)

    def atoms_of(self) -> Iterator[slice]:
        """Where every molecule's atoms lie."""
        ends = np.cumsum(self.n_atoms)
        for n, end in zip(self.n_atoms, ends, strict=True):
            yield slice(int(end - n), int(end))

    def steps_of(self) -> list[NDArray[np.int16]]:
        """[iterations] of every molecule."""
        return np.split(self.steps, np.cumsum(self.iterations)[:-1])


def joined(parts: Sequence[Samples]) -> Samples:
    """The molecules of all parts, which one sampler made with the same limits. UserError for others."""
    first = parts[0]
    for part in parts:
        if (part.model, part.sampler, part.limits.tolist()) != (
            first.model,
            first.sampler,
            first.limits.tolist(),
        ):
            raise UserError("samples of other models, samplers or limits cannot be joined")
    own = ("limits", "positions_at_limits", "seconds", "model", "sampler")
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in vars(first)
        if name not in own
    }
    at_limits = np.concatenate([part.positions_at_limits for part in parts], axis=1)
    seconds = sum(part.seconds for part in parts)
    return Samples(
        **arrays,
        limits=first.limits,
        positions_at_limits=at_limits,
        seconds=seconds,
        model=first.model,
        sampler=first.sampler,
    )


def write_samples(path: Path, samples: Samples) -> None:
    """Write what `read_samples` reads; the file is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez_compressed(file, **vars(samples))

    write_atomically(path, write)


def read_samples(path: Path) -> Samples:
    """Read samples. Raises UserError for a file that does not hold any."""
    found = read_arrays(path)
    try:
        arrays = {name: found[name] for name in Samples.__dataclass_fields__}
    except KeyError as error:
        raise UserError(
            f"{path}: holds no samples ({error}); run `prerelax study from-noise sample`"
        ) from error
    seconds, model, sampler = (arrays.pop(name) for name in ("seconds", "model", "sampler"))
    return Samples(**arrays, seconds=float(seconds), model=str(model), sampler=str(sampler))
