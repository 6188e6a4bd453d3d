"""Batches of molecules of one size, with their bond graphs, in an order that a resumed run continues."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prerelax.datasets.structures import Structures
from prerelax.molecules.topology import bonds_from_geometry, topological_distances
from prerelax.networks.batch import Batch, make_batch


class SizeGroup:
    """All molecules of one size as dense arrays, from which a batch is a few index operations."""

    def __init__(self, structures: Structures, n_atoms: int, bond_graph: bool) -> None:
        m = len(structures)
        self.n_atoms = n_atoms
        self.ids = structures.ids
        self.numbers = torch.from_numpy(structures.numbers.reshape(m, n_atoms))
        self.positions = torch.from_numpy(structures.positions.reshape(m, n_atoms, 3))
        start = structures.positions_start
        self.positions_start = None if start is None else torch.from_numpy(start.reshape(m, n_atoms, 3))
        self.topology = torch.from_numpy(_topologies(structures, n_atoms)) if bond_graph else None
        self._templates: dict[int, Batch] = {}

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """The molecules at `rows` of this group as one batch."""
        chosen = torch.from_numpy(rows)
        topology = None if self.topology is None else self.topology[chosen].reshape(-1).long()
        template = self._template(len(rows))
        start = None if self.positions_start is None else self.positions_start[chosen].reshape(-1, 3)
        return Batch(
            numbers=self.numbers[chosen].reshape(-1).long(),
            positions=self.positions[chosen].reshape(-1, 3),
            molecule_index=template.molecule_index,
            n_atoms=template.n_atoms,
            pairs=template.pairs,
            topological_distance=topology,
            positions_start=start,
        )

    def _template(self, n_molecules: int) -> Batch:
        if n_molecules not in self._templates:
            numbers = [np.ones(self.n_atoms, dtype=np.int64)] * n_molecules
            positions = [np.zeros((self.n_atoms, 3), dtype=np.float32)] * n_molecules
            self._templates[n_molecules] = make_batch(numbers, positions)
        return self._templates[n_molecules]


def _topologies(structures: Structures, n_atoms: int) -> NDArray[np.uint8]:
    """[n_molecules, n_atoms (n_atoms - 1)] topological distances of the ordered pairs."""
    off_diagonal = ~np.eye(n_atoms, dtype=bool)
    out = np.empty((len(structures), n_atoms * (n_atoms - 1)), dtype=np.uint8)
    for row, (_, numbers, positions) in enumerate(structures):
        out[row] = topological_distances(bonds_from_geometry(numbers, positions))[off_diagonal]
    return out


class EpochStream(ABC):
    """An iterable over one epoch of batches in an order that depends on `seed` and the epoch alone.

    Iterating again gives the next epoch. `seek` goes to any step of the training, which is how a resumed run
    goes on with the batch that was next.
    """

    def __init__(self, seed: int, shuffle: bool) -> None:
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0
        self.position = 0

    @abstractmethod
    def __len__(self) -> int:
        """Batches in an epoch."""

    @property
    @abstractmethod
    def n_molecules(self) -> int:
        """Molecules in an epoch."""

    @abstractmethod
    def batches(self, rng: np.random.Generator | None, first: int) -> Iterator[Batch]:
        """An epoch's batches from the `first` on, shuffled by `rng`, or in a fixed order where it is None."""

    def seek(self, step: int) -> None:
        """Go to the batch of a step counted from the start of the training."""
        self.epoch, self.position = divmod(step, len(self))

    def state_dict(self) -> dict[str, int]:
        """Makes Lightning see that the stream can be resumed; where it forgets to, `seek` does it."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng((self.seed, self.epoch)) if self.shuffle else None
        for batch in self.batches(rng, self.position):
            # Moved on before the batch is handed out: Lightning counts, and never asks beyond the last one.
            self.seek(self.epoch * len(self) + self.position + 1)
            yield batch


class BatchStream(EpochStream):
    """Batches each of molecules of one size, shuffled anew every epoch.

    Molecules of one size need no padding and share their pair list, which is what makes training on a CPU
    fast. Single atoms carry no geometry and are left out; ValueError where nothing else is there.
    """

    def __init__(
        self, structures: Structures, batch_size: int, bond_graph: bool, seed: int, shuffle: bool = True
    ) -> None:
        super().__init__(seed, shuffle)
        self.batch_size = batch_size
        sizes = [int(n) for n in np.unique(structures.n_atoms) if n > 1]
        self.groups = [
            SizeGroup(structures.select(np.flatnonzero(structures.n_atoms == n)), n, bond_graph)
            for n in sizes
        ]
        if not self.groups:
            raise ValueError("no molecule of more than one atom to train on")

    def __len__(self) -> int:
        return sum(-(-len(g.ids) // self.batch_size) for g in self.groups)

    @property
    def n_molecules(self) -> int:
        return sum(len(g.ids) for g in self.groups)

    def batches(self, rng: np.random.Generator | None, first: int) -> Iterator[Batch]:
        plan: list[tuple[SizeGroup, NDArray[np.int64]]] = []
        for group in self.groups:
            order = np.arange(len(group.ids)) if rng is None else rng.permutation(len(group.ids))
            plan += [(group, order[i : i + self.batch_size]) for i in range(0, len(order), self.batch_size)]
        turns = np.arange(len(plan)) if rng is None else rng.permutation(len(plan))
        for turn in turns[first:]:
            group, rows = plan[turn]
            yield group.batch(rows)


class MixedStream(EpochStream):
    """Batches of molecules of any size, with their bond graphs: for sets too small to have many of one size.

    The last molecules of an epoch that fill no batch wait for another epoch, unless they are all there are.
    """

    def __init__(self, structures: Structures, batch_size: int, seed: int) -> None:
        super().__init__(seed, shuffle=True)
        self.structures = structures
        self.batch_size = min(batch_size, len(structures))
        self.graphs = [topological_distances(bonds_from_geometry(z, x)) for _, z, x in structures]

    def __len__(self) -> int:
        return len(self.structures) // self.batch_size

    @property
    def n_molecules(self) -> int:
        return len(self.structures)

    def batches(self, rng: np.random.Generator | None, first: int) -> Iterator[Batch]:
        order = np.arange(len(self.structures)) if rng is None else rng.permutation(len(self.structures))
        for turn in range(first, len(self)):
            yield self._batch(order[turn * self.batch_size : (turn + 1) * self.batch_size])

    def _batch(self, rows: NDArray[np.int64]) -> Batch:
        part = self.structures.select(rows)
        numbers, positions = zip(*((z, x) for _, z, x in part), strict=True)
        start = None if part.positions_start is None else torch.from_numpy(part.positions_start)
        batch = make_batch(numbers, positions, [self.graphs[row] for row in rows])
        return replace(batch, positions_start=start)


def repeat_for_atoms(per_molecule: Tensor, batch: Batch) -> Tensor:
    """[n_atoms_total, 1] from [n_molecules] values."""
    return per_molecule[batch.molecule_index, None]
