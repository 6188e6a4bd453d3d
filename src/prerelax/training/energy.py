"""Training of the neural force field: batches with energies and forces, and their loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prerelax.datasets.graph_split import held_out
from prerelax.datasets.left_out import graphs_of, labelled_without_tested
from prerelax.datasets.qm7x import LabelledStructures, read_qm7x
from prerelax.errors import UserError
from prerelax.networks.batch import Batch, make_batch
from prerelax.networks.energy import EnergyNetwork
from prerelax.settings import expand_path
from prerelax.training.config import EnergyOptions, TrainingConfig
from prerelax.training.data import EpochStream

Value = TypeVar("Value", bound=np.generic)

FORMAT = "qm7x"
"""`data.format` of sets with energies and forces"""


@dataclass(frozen=True)
class LabelledBatch(Batch):
    """A batch whose energies and forces are known."""

    energies: Tensor | None = None
    """[n_molecules] eV, float64"""
    forces: Tensor | None = None
    """[n_atoms_total, 3] eV/Å"""

    def to(self, device: torch.device | str) -> LabelledBatch:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return LabelledBatch(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()})


def energy_forces_loss(
    network: nn.Module,
    batch: Batch,
    schedule: object,
    steps: tuple[int, int],
    generator: torch.Generator,
    options: EnergyOptions,
) -> dict[str, Tensor]:
    """Weighted mean squared errors of energies (eV²) and forces (eV²/Å²).

    Returns the mean absolute errors beside the loss; `schedule`, `steps` and `generator` are not used. Raises
    UserError for another network or a data set without energies.
    """
    if not isinstance(network, EnergyNetwork) or not isinstance(batch, LabelledBatch):
        raise UserError(f"this loss trains force-field on a data set with energies (data.format: {FORMAT})")
    assert batch.energies is not None and batch.forces is not None
    energies, forces = network.energies_and_forces(batch, training=True)
    energy_error, force_error = energies - batch.energies, forces - batch.forces
    loss = (
        options.energy_weight * energy_error.square().mean()
        + options.forces_weight * force_error.square().mean()
    )
    return {
        "loss": loss,
        "energy_mae_ev": energy_error.detach().abs().mean(),
        "force_mae_ev_ang": force_error.detach().abs().mean(),
    }


def labelled_streams(config: TrainingConfig, network: nn.Module) -> tuple[LabelledStream, LabelledStream]:
    """Training and validation batches, no molecule in both; sets the network's atom energies from the former.

    Raises UserError for another network, unreadable data and too few structures.
    """
    if not isinstance(network, EnergyNetwork):
        raise UserError(f"data.format {FORMAT} is for the network force-field")
    tested = graphs_of([expand_path(each) for each in config.data.unlike])
    structures = labelled_without_tested(read_qm7x(config.data.file), tested)
    known = [set(z.tolist()) <= set(network.elements) for z in _split_atoms(structures.numbers, structures)]
    structures = structures.select(np.flatnonzero(known))
    held = held_out(structures.graphs, config.data.validation, config.data.split_seed)
    if not held.any() or held.all():
        raise UserError(f"data.validation: {config.data.validation} of {len(structures)} structures")
    training = structures.select(np.flatnonzero(~held)[: config.data.limit])
    numbers = [torch.from_numpy(z) for z in _split_atoms(training.numbers, training)]
    network.fit_atom_energies(numbers, torch.from_numpy(training.energies))
    size, seed = config.optimization.batch_size, config.optimization.seed
    validation = structures.select(np.flatnonzero(held))
    return LabelledStream(training, size, seed), LabelledStream(validation, size, seed, shuffle=False)


class LabelledStream(EpochStream):
    """Batches of structures with energies and forces, shuffled anew every epoch."""

    def __init__(
        self, structures: LabelledStructures, batch_size: int, seed: int, shuffle: bool = True
    ) -> None:
        super().__init__(seed, shuffle)
        self.structures = structures
        self.batch_size = batch_size
        self._numbers = _split_atoms(structures.numbers, structures)
        self._positions = _split_atoms(structures.positions, structures)
        self._forces = _split_atoms(structures.forces, structures)

    def __len__(self) -> int:
        return -(-len(self.structures) // self.batch_size)

    @property
    def n_molecules(self) -> int:
        return len(self.structures)

    def batches(self, rng: np.random.Generator | None, first: int) -> Iterator[LabelledBatch]:
        count = len(self.structures)
        order = np.arange(count) if rng is None else rng.permutation(count)
        for start in range(first * self.batch_size, count, self.batch_size):
            yield self._batch(order[start : start + self.batch_size])

    def _batch(self, rows: NDArray[np.integer]) -> LabelledBatch:
        batch = make_batch([self._numbers[i] for i in rows], [self._positions[i] for i in rows])
        return LabelledBatch(
            **vars(batch),
            energies=torch.from_numpy(self.structures.energies[rows]),
            forces=torch.from_numpy(np.concatenate([self._forces[i] for i in rows])),
        )


def _split_atoms(values: NDArray[Value], structures: LabelledStructures) -> list[NDArray[Value]]:
    return np.split(values, np.cumsum(structures.n_atoms)[:-1])
