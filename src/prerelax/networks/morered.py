"""The three networks of MoreRed (Kahouli et al., MLST 2024, 5, 035038) on a PaiNN or SO(3) trunk.

`NoiseNetwork` predicts the noise given the time, `TimeNetwork` the time, and `JointNetwork` both, its noise
head receiving the time head's prediction of each atom. Times are step / (T - 1), from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from prerelax.networks.batch import Batch, centred, molecule_sums
from prerelax.networks.heads import AtomwiseHead, NoiseHead
from prerelax.networks.network import Network, Types
from prerelax.networks.painn import N_EMBEDDED_ELEMENTS, PaiNN
from prerelax.networks.so3 import SO3Net

Backbone = Literal["painn", "so3"]


@dataclass(frozen=True)
class AtomNetworkOptions:
    """Sizes of a network on atoms. The defaults are the paper's.

    Raises ValueError for elements without an embedding and for unknown backbones.
    """

    elements: Sequence[int] = (1, 6, 7, 8)
    """atomic numbers it is trained on"""
    n_features: int = 256
    n_interactions: int = 3
    n_radial: int = 20
    cutoff: float = 5.0
    """Å"""
    n_head_layers: int = 3
    backbone: Backbone = "painn"
    """so3 needs e3nn"""

    def __post_init__(self) -> None:
        if not self.elements or not 0 < min(self.elements) <= max(self.elements) < N_EMBEDDED_ELEMENTS:
            raise ValueError(f"elements must be atomic numbers from 1 to {N_EMBEDDED_ELEMENTS - 1}")
        if self.backbone not in get_args(Backbone):
            known = ", ".join(get_args(Backbone))
            raise ValueError(f"backbone must be one of {known}, not {self.backbone!r}")


@dataclass(frozen=True)
class MoreRedOptions(AtomNetworkOptions):
    """Options of MoreRed's networks."""

    bond_graph: bool = False
    """our own: give the filters the topological distance of each pair"""


class AtomNetwork(Network):
    """A trunk and the elements it was trained on; subclasses add the heads."""

    def __init__(self, options: AtomNetworkOptions, bond_graph: bool = False) -> None:
        super().__init__()
        self.elements = tuple(int(z) for z in options.elements)
        self.uses_bond_graph = bond_graph
        trunk = SO3Net if options.backbone == "so3" else PaiNN
        self.representation = trunk(
            options.n_features, options.n_interactions, options.n_radial, options.cutoff, bond_graph
        )


class NoiseNetwork(AtomNetwork):
    """Denoiser for DDPM, and beside a `TimeNetwork` for AS and ITP."""

    types: Types = "fixed"

    def __init__(self, options: MoreRedOptions | None = None) -> None:
        options = options or MoreRedOptions()
        super().__init__(options, options.bond_graph)
        self.noise_head = NoiseHead(options.n_features, options.n_head_layers)

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        """Noise [n_atoms_total, 3], centred per molecule, given the time [n_molecules]."""
        scalars, vectors = self.representation(batch)
        return centred(self.noise_head(scalars, vectors, time[batch.molecule_index]), batch)


class TimeNetwork(AtomNetwork):
    """Predicts how far a geometry is from equilibrium."""

    def __init__(self, options: MoreRedOptions | None = None) -> None:
        options = options or MoreRedOptions()
        super().__init__(options, options.bond_graph)
        self.time_head = AtomwiseHead(options.n_features, options.n_head_layers)

    def atom_times(self, batch: Batch) -> Tensor:
        """Predicted time [n_atoms_total] of every atom."""
        scalars, _ = self.representation(batch)
        times: Tensor = self.time_head(scalars)
        return times

    def forward(self, batch: Batch) -> Tensor:
        """Predicted time [n_molecules], the mean over each molecule's atoms after clamping them to 0…1."""
        return molecule_time(self.atom_times(batch), batch)


class JointNetwork(AtomNetwork):
    """Denoiser that predicts the time and the noise in one call."""

    types: Types = "fixed"

    def __init__(self, options: MoreRedOptions | None = None) -> None:
        options = options or MoreRedOptions()
        super().__init__(options, options.bond_graph)
        self.time_head = AtomwiseHead(options.n_features, options.n_head_layers)
        self.noise_head = NoiseHead(options.n_features, options.n_head_layers)

    def noise_and_atom_times(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Noise [n_atoms_total, 3], centred per molecule, and the time [n_atoms_total] of every atom."""
        scalars, vectors = self.representation(batch)
        atom_times = self.time_head(scalars)
        return centred(self.noise_head(scalars, vectors, atom_times), batch), atom_times

    def forward(self, batch: Batch, time: Tensor | None = None) -> Tensor:
        """Noise [n_atoms_total, 3]; a given time is not used, this network predicts its own."""
        noise, _ = self.noise_and_atom_times(batch)
        return noise


def molecule_time(atom_times: Tensor, batch: Batch) -> Tensor:
    """Mean [n_molecules] of the times [n_atoms_total] of a molecule's atoms, each clamped to 0…1."""
    return molecule_sums(atom_times.clamp(0.0, 1.0), batch) / batch.n_atoms.to(atom_times.dtype)
