"""The three networks of MoreRed (Kahouli et al., MLST 2024, 5, 035038) on a PaiNN or SO(3) trunk.

`NoiseNetwork` predicts the noise given the time, `TimeNetwork` the time, and `JointNetwork` both, its noise
head receiving the time head's prediction of each atom. Times are step / (T - 1), from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from prerelax.networks.batch import Batch, centred, molecule_sums
from prerelax.networks.heads import AtomwiseHead, NoiseHead
from prerelax.networks.painn import N_EMBEDDED_ELEMENTS, PaiNN
from prerelax.networks.so3 import SO3Net

BACKBONES = ("painn", "so3")


class AtomNetwork(nn.Module):
    """A trunk and the elements it was trained on; the heads are the subclasses' business.

    `cutoff` in Å; the default sizes are the paper's. `bond_graph` gives the filters the topological distance
    of each pair (our own option). `backbone` is `painn` or `so3` (needs e3nn). Raises ValueError for elements
    without an embedding and unknown backbones.
    """

    types = "fixed"
    """The elements are given, not diffused along with the positions."""

    def __init__(
        self,
        elements: Sequence[int] = (1, 6, 7, 8),
        n_features: int = 256,
        n_interactions: int = 3,
        n_radial: int = 20,
        cutoff: float = 5.0,
        bond_graph: bool = False,
        backbone: str = "painn",
    ) -> None:
        super().__init__()
        self.elements = tuple(int(z) for z in elements)
        if not self.elements or not 0 < min(self.elements) <= max(self.elements) < N_EMBEDDED_ELEMENTS:
            raise ValueError(f"elements must be atomic numbers from 1 to {N_EMBEDDED_ELEMENTS - 1}")
        self.uses_bond_graph = bond_graph
        if backbone not in BACKBONES:
            raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}, not {backbone!r}")
        trunk = SO3Net if backbone == "so3" else PaiNN
        self.representation = trunk(n_features, n_interactions, n_radial, cutoff, bond_graph)


class NoiseNetwork(AtomNetwork):
    """Denoiser for DDPM, and beside a `TimeNetwork` for AS and ITP."""

    def __init__(
        self,
        elements: Sequence[int] = (1, 6, 7, 8),
        n_features: int = 256,
        n_interactions: int = 3,
        n_radial: int = 20,
        cutoff: float = 5.0,
        bond_graph: bool = False,
        n_head_layers: int = 3,
        backbone: str = "painn",
    ) -> None:
        super().__init__(elements, n_features, n_interactions, n_radial, cutoff, bond_graph, backbone)
        self.noise_head = NoiseHead(n_features, n_head_layers)

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        """Noise [n_atoms_total, 3], centred per molecule, given the time [n_molecules]."""
        scalars, vectors = self.representation(batch)
        return centred(self.noise_head(scalars, vectors, time[batch.molecule_index]), batch)


class TimeNetwork(AtomNetwork):
    """Predicts how far a geometry is from equilibrium."""

    def __init__(
        self,
        elements: Sequence[int] = (1, 6, 7, 8),
        n_features: int = 256,
        n_interactions: int = 3,
        n_radial: int = 20,
        cutoff: float = 5.0,
        bond_graph: bool = False,
        n_head_layers: int = 3,
        backbone: str = "painn",
    ) -> None:
        super().__init__(elements, n_features, n_interactions, n_radial, cutoff, bond_graph, backbone)
        self.time_head = AtomwiseHead(n_features, n_head_layers)

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

    def __init__(
        self,
        elements: Sequence[int] = (1, 6, 7, 8),
        n_features: int = 256,
        n_interactions: int = 3,
        n_radial: int = 20,
        cutoff: float = 5.0,
        bond_graph: bool = False,
        n_head_layers: int = 3,
        backbone: str = "painn",
    ) -> None:
        super().__init__(elements, n_features, n_interactions, n_radial, cutoff, bond_graph, backbone)
        self.time_head = AtomwiseHead(n_features, n_head_layers)
        self.noise_head = NoiseHead(n_features, n_head_layers)

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
