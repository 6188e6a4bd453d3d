"""Pairs within a radial cutoff, and their layout in blocks that fit the processor's cache."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prerelax.networks.batch import Batch

SMALLEST_DISTANCE_ANG = 1e-6
"""Atoms on one spot have no direction; their pair gets the zero vector instead of NaN."""


@dataclass(frozen=True)
class Neighbours:
    """The ordered pairs of a batch closer than the cutoff, sorted by receiver."""

    receiver: Tensor
    """[n_pairs] int64"""
    sender: Tensor
    """[n_pairs] int64"""
    distance: Tensor
    """[n_pairs] Å"""
    direction: Tensor
    """[n_pairs, 3] unit vectors from receiver to sender"""
    topological_distance: Tensor | None
    """[n_pairs] int64, 0…4, or None without a bond graph"""
    n_atoms: int

    @property
    def needs_gradient(self) -> bool:
        return self.distance.requires_grad


def neighbours_within(batch: Batch, cutoff: float) -> Neighbours:
    """The pairs of `batch` closer than `cutoff` Å."""
    receiver, sender = batch.pairs[0], batch.pairs[1]
    positions = batch.positions.detach()
    difference = positions.index_select(0, sender) - positions.index_select(0, receiver)
    kept = torch.nonzero(difference.square().sum(-1) < cutoff * cutoff).squeeze(-1)
    receiver, sender = receiver.index_select(0, kept), sender.index_select(0, kept)
    if batch.positions.requires_grad:
        difference = batch.positions.index_select(0, sender) - batch.positions.index_select(0, receiver)
    else:
        difference = difference.index_select(0, kept)
    distance = difference.square().sum(-1).clamp_min(SMALLEST_DISTANCE_ANG**2).sqrt()
    topology = batch.topological_distance
    return Neighbours(
        receiver=receiver,
        sender=sender,
        distance=distance,
        direction=difference / distance[:, None],
        topological_distance=None if topology is None else topology.index_select(0, kept),
        n_atoms=len(batch.numbers),
    )


@dataclass(frozen=True)
class NeighbourBlock:
    """Some atoms with nearly the same number of neighbours, their lists padded to the longest.

    A padded place names the atom itself, at the cutoff and with zero direction, so that it contributes
    nothing and carries nothing from one molecule to another.
    """

    atoms: Tensor
    """[n_atoms] int64, receivers"""
    senders: Tensor
    """[n_atoms * width] int64"""
    directions: Tensor
    """[n_atoms, width, 3] unit vectors from receiver to sender"""
    places: slice
    """where the block's n_atoms * width places lie in `PaddedNeighbours`"""


@dataclass(frozen=True)
class PaddedNeighbours:
    """The neighbours of all atoms in blocks of rising list length."""

    blocks: list[NeighbourBlock]
    distance: Tensor
    """[n_places] Å"""
    topological_distance: Tensor | None
    """[n_places] int64, or None without a bond graph"""
    position_of_atom: Tensor
    """[n_atoms] int64, where each atom stands in the concatenated blocks"""


def padded_neighbours(neighbours: Neighbours, cutoff: float, places_per_block: int) -> PaddedNeighbours:
    """Lay out pairs in blocks of about `places_per_block` (atom, neighbour) places each."""
    receiver = neighbours.receiver
    counts = torch.bincount(receiver, minlength=neighbours.n_atoms)
    order = torch.argsort(counts, stable=True)
    position_of_atom = torch.empty_like(order).index_copy_(
        0, order, torch.arange(len(order), device=order.device)
    )
    widths, shapes = _block_shapes(counts[order].tolist(), places_per_block)
    width_of_position = torch.tensor(widths, device=order.device)
    first_place = torch.cumsum(width_of_position, 0) - width_of_position
    first_pair = torch.cumsum(counts, 0) - counts
    rank = torch.arange(len(receiver), device=order.device) - first_pair.index_select(0, receiver)
    place = first_place.index_select(0, position_of_atom).index_select(0, receiver) + rank

    senders = torch.repeat_interleave(order, width_of_position).index_copy_(0, place, neighbours.sender)
    distance = neighbours.distance.new_full((len(senders),), cutoff).index_copy_(
        0, place, neighbours.distance
    )
    directions = distance.new_zeros(len(senders), 3).index_copy_(0, place, neighbours.direction)
    topology = neighbours.topological_distance
    if topology is not None:
        topology = torch.zeros_like(senders).index_copy_(0, place, topology)
    blocks, atom, at = [], 0, 0
    for n, width in shapes:
        places = slice(at, at + n * width)
        blocks.append(
            NeighbourBlock(
                atoms=order[atom : atom + n],
                senders=senders[places],
                directions=directions[places].view(n, width, 3),
                places=places,
            )
        )
        atom, at = atom + n, at + n * width
    return PaddedNeighbours(blocks, distance, topology, position_of_atom)


def _block_shapes(counts: list[int], places_per_block: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Padded list length of every atom and (atoms, width) of every block, from rising neighbour counts."""
    widths: list[int] = []
    shapes: list[tuple[int, int]] = []
    while len(widths) < len(counts):
        first = len(widths)
        n = 1
        while first + n < len(counts) and (n + 1) * counts[first + n] <= places_per_block:
            n += 1
        width = counts[first + n - 1]
        widths += [width] * n
        shapes.append((n, width))
    return widths, shapes
