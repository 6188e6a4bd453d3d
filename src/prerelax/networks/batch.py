"""Molecules of different sizes as one flat batch of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What every denoiser reads. Atoms of one molecule are contiguous, molecules in order.

    Pairs are all ordered pairs i != j within a molecule, sorted by (receiver, sender).
    """

    numbers: Tensor
    """[n_atoms_total] int64, atomic numbers"""
    positions: Tensor
    """[n_atoms_total, 3] Å"""
    molecule_index: Tensor
    """[n_atoms_total] int64"""
    n_atoms: Tensor
    """[n_molecules] int64"""
    pairs: Tensor
    """[2, n_pairs] int64, receiver and sender"""
    topological_distance: Tensor | None = None
    """[n_pairs] int64, bonds between the two atoms (1…4), 0 when more or not connected; None without a bond
    graph
    """
    features: Tensor | None = None
    """[n_atoms_total, n_features] noised types and charges of an EDM that diffuses them; None for fixed types
    """

    positions_start: Tensor | None = None
    """[n_atoms_total, 3] Å where the molecules would be relaxed from; None but in trainings that use it
    """

    @property
    def n_molecules(self) -> int:
        return len(self.n_atoms)

    def with_positions(self, positions: Tensor, features: Tensor | None = None) -> Batch:
        """The same molecules at other positions [n_atoms_total, 3] Å (and features)."""
        return replace(self, positions=positions, features=self.features if features is None else features)

    def to(self, device: torch.device | str) -> Batch:
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(self).items()}
        return Batch(**moved)


def molecule_sums(values: Tensor, batch: Batch) -> Tensor:
    """Sums [n_molecules, ...] of per-atom `values` [n_atoms_total, ...]."""
    sums = values.new_zeros((batch.n_molecules, *values.shape[1:]))
    return sums.index_add_(0, batch.molecule_index, values)


def centred(values: Tensor, batch: Batch) -> Tensor:
    """`values` [n_atoms_total, 3] minus their unweighted mean over each molecule."""
    counts = batch.n_atoms.to(values.dtype)[:, None]
    return values - (molecule_sums(values, batch) / counts)[batch.molecule_index]


def make_batch(
    numbers: Sequence[NDArray[np.integer]],
    positions: Sequence[NDArray[np.floating]],
    topological_distance: Sequence[NDArray[np.uint8]] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Batch:
    """A batch from numbers [n], positions [n, 3] Å and topological distances [n, n] of each molecule."""
    n_atoms = torch.tensor([len(z) for z in numbers], dtype=torch.int64)
    pairs = _all_pairs(n_atoms)
    topology = None
    if topological_distance is not None:
        off_diagonal = [t[~np.eye(len(t), dtype=bool)] for t in topological_distance]
        topology = torch.from_numpy(np.concatenate(off_diagonal).astype(np.int64))
    return Batch(
        numbers=torch.from_numpy(np.concatenate(numbers).astype(np.int64)),
        positions=torch.from_numpy(np.concatenate(positions)).to(dtype),
        molecule_index=torch.repeat_interleave(torch.arange(len(n_atoms)), n_atoms),
        n_atoms=n_atoms,
        pairs=pairs,
        topological_distance=topology,
    )


def _all_pairs(n_atoms: Tensor) -> Tensor:
    first = torch.cumsum(n_atoms, 0) - n_atoms
    squares = n_atoms * n_atoms
    molecule = torch.repeat_interleave(torch.arange(len(n_atoms)), squares)
    within = torch.arange(int(squares.sum())) - torch.repeat_interleave(
        torch.cumsum(squares, 0) - squares, squares
    )
    receiver = torch.div(within, n_atoms[molecule], rounding_mode="floor")
    sender = within - receiver * n_atoms[molecule]
    keep = receiver != sender
    return torch.stack([(receiver + first[molecule])[keep], (sender + first[molecule])[keep]])
