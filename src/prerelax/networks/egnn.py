"""The E(3)-equivariant graph network of EDM, and a few options that make it a better relaxer.

With its default options the network is the one of the published EDM code (Hoogeboom et al., ICML 2022) as the
relaxation paper uses it (Chem. Sci. 2024, 15, 13506): all atoms of a molecule interact, and every block first
passes messages and then moves the coordinates. The predicted noise is the distance that the coordinates
moved.

The first layer of every pair network acts on [h_receiver, h_sender, d², d0²]. It is applied to the atoms
before they are gathered into pairs, which is the same sum for a fraction of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from prerelax.molecules.topology import MAX_TOPOLOGICAL_DISTANCE
from prerelax.networks.batch import Batch, centred
from prerelax.networks.network import Network, Types
from prerelax.networks.products import Linear, added, gather, linear, multiplied, silu

Aggregation = Literal["sum", "mean"]
Motion = Literal["noise", "none", "denoised"]


@dataclass(frozen=True)
class EGNNOptions:
    """Options of an `EGNN`. Its defaults are the published network; our own options are off.

    Raises ValueError for an option outside its range.
    """

    elements: Sequence[int] = (1, 6, 7, 8, 9)
    """atomic numbers, in the order of the one-hot encoding"""
    n_layers: int = 9
    n_features: int = 256
    types: Types = "diffused"
    """diffused: the atom features are noised together with the positions (the papers' model); fixed: they
    are the clean elements"""
    charges: bool = True
    """append Z to the features"""
    one_hot_scale: float = 4.0
    """by which the one-hot features are divided"""
    charge_scale: float = 10.0
    """by which Z is divided"""
    attention: bool = True
    tanh: bool = True
    coords_range: float = 15.0
    norm_constant: float = 1.0
    inv_sublayers: int = 1
    aggregation: Aggregation = "sum"
    normalization_factor: float = 1.0
    bond_graph: bool = False
    """our own: give each pair an embedding of its topological distance"""
    radial_basis: int = 0
    """our own: so many Gaussians of the interatomic distance"""
    radial_range: Sequence[float] = (0.7, 4.0)
    """centres of the first and the last Gaussian, Å"""
    log_time: bool = False
    """our own: give the time on a logarithmic scale as well"""
    motion: Motion = "noise"
    """Which geometry a block sees. noise: the coordinates moved by the noise predicted so far (published; of
    the order of 1 Å, so distances lose their meaning). none: the input geometry. denoised: the input minus
    sigma(t) times the noise predicted so far, so that each block refines the geometry of the one before."""

    def __post_init__(self) -> None:
        for name, known in (("types", Types), ("aggregation", Aggregation), ("motion", Motion)):
            value = vars(self)[name]
            if value not in get_args(known):
                raise ValueError(f"{name} must be one of {', '.join(get_args(known))}, not {value!r}")


class EGNN(Network):
    """Denoiser: predicts the noise in the positions, and in the types where these are diffused along."""

    def __init__(self, options: EGNNOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or EGNNOptions()
        self.elements = tuple(int(z) for z in options.elements)
        self.types: Types = options.types
        self.uses_bond_graph = options.bond_graph
        self.n_types = len(self.elements) + int(options.charges)
        """Width of the atom features that are noised along when types are diffused."""
        n_inputs = self.n_types + (2 if options.log_time else 1)
        n_features, n_radial = options.n_features, options.radial_basis
        self.embedding = nn.Linear(n_inputs, n_features)
        self.embedding_out = nn.Linear(n_features, n_inputs) if self.types == "diffused" else None
        self.topology = TopologyOneHot() if options.bond_graph else None
        self.radial = RadialBasis(n_radial, *options.radial_range) if n_radial else None
        n_pair_inputs = 2 + n_radial + (MAX_TOPOLOGICAL_DISTANCE + 1 if options.bond_graph else 0)
        self.blocks = nn.ModuleList(EquivariantBlock(options, n_pair_inputs) for _ in range(options.n_layers))
        known = torch.full((max(self.elements) + 1,), -1, dtype=torch.int64)
        known[list(self.elements)] = torch.arange(len(self.elements))
        self.element_index: Tensor
        self.register_buffer("element_index", known, persistent=False)

    def atom_features(self, numbers: Tensor) -> Tensor:
        """Clean features [n_atoms_total, n_types]: scaled one-hot and, with charges, scaled Z."""
        index = self.element_index[numbers]
        one_hot = (
            nn.functional.one_hot(index, len(self.elements)).to(self.embedding.weight.dtype)
            / self.options.one_hot_scale
        )
        if not self.options.charges:
            return one_hot
        return torch.cat([one_hot, numbers[:, None].to(one_hot.dtype) / self.options.charge_scale], dim=1)

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        """Predicted noise [n_atoms_total, 3], or [n_atoms_total, 3 + n_types] where the types are diffused.

        `time` [n_molecules] is step / T. With diffused types `batch.features` holds the noised features. The
        positions' part sums to zero over each molecule. Raises ValueError when the batch lacks what is
        needed.
        """
        h = self.embedding(self._inputs(batch, time))
        receiver, sender = batch.pairs
        distance2, direction = pair_geometry(batch.positions, batch.pairs, self.options.norm_constant)
        constant = [distance2] if self.topology is None else [distance2, self.topology(batch)]
        noise = torch.zeros_like(batch.positions)
        step_size = self._step_size(batch, time)
        for block in self.blocks:
            pair_inputs = torch.cat([distance2, *constant, *self._radial_inputs(distance2)], dim=1)
            h, step = block(h, pair_inputs, direction, receiver, sender)
            noise = noise + step
            if step_size is not None:
                seen = batch.positions + step_size * noise
                distance2, direction = pair_geometry(seen, batch.pairs, self.options.norm_constant)
        noise = centred(noise, batch)
        if self.embedding_out is None:
            return noise
        return torch.cat([noise, self.embedding_out(h)[:, : self.n_types]], dim=1)

    def _step_size(self, batch: Batch, time: Tensor) -> Tensor | float | None:
        """What the predicted noise is multiplied by to make the next block's geometry; None: no motion."""
        if self.options.motion == "none":
            return None
        if self.options.motion == "noise":
            return 1.0
        return -approximate_sigma(time)[batch.molecule_index, None].to(batch.positions.dtype)

    def _radial_inputs(self, distance2: Tensor) -> list[Tensor]:
        return [] if self.radial is None else [self.radial(distance2)]

    def _inputs(self, batch: Batch, time: Tensor) -> Tensor:
        if self.types == "fixed":
            features = self.atom_features(batch.numbers)
        elif batch.features is None:
            raise ValueError("this network diffuses atom types: the batch needs noised features")
        else:
            features = batch.features
        times = time[:, None].to(features.dtype)
        if self.options.log_time:
            times = torch.cat([times, torch.log10(times + LOG_TIME_OFFSET)], dim=1)
        return torch.cat([features, times[batch.molecule_index]], dim=1)


LOG_TIME_OFFSET = 2e-3
"""Below this time the noise of the EDM schedule levels off (sigma² = 2 t² + 1e-5 for small t)."""


def approximate_sigma(time: Tensor) -> Tensor:
    """sigma at `time` in [0, 1] for EDM's polynomial_2 schedule with precision 1e-5, any number of steps."""
    return torch.sqrt(1.0 - (1.0 - time**2) ** 2 + 1e-5)


def pair_geometry(positions: Tensor, pairs: Tensor, norm_constant: float) -> tuple[Tensor, Tensor]:
    """Squared distances [n_pairs, 1] Å², and sender-to-receiver vectors [n_pairs, 3] over (distance +
    constant).
    """
    difference = gather(positions, pairs[0]) - gather(positions, pairs[1])
    distance2 = (difference**2).sum(1, keepdim=True)
    distance = torch.sqrt(distance2 + 1e-8)
    return distance2, difference / (distance + norm_constant)


class TopologyOneHot(nn.Module):
    """Topological distances of all pairs as one-hot vectors [n_pairs, 5], for a learned embedding."""

    def forward(self, batch: Batch) -> Tensor:
        if batch.topological_distance is None:
            raise ValueError("this network uses the bond graph: the batch needs topological distances")
        one_hot = nn.functional.one_hot(batch.topological_distance, MAX_TOPOLOGICAL_DISTANCE + 1)
        return one_hot.to(batch.positions.dtype)


SMALLEST_EXPONENT = -30.0


class RadialBasis(nn.Module):
    """Gaussians of the interatomic distance, evenly spaced and as wide as their spacing."""

    def __init__(self, n_functions: int, start_ang: float, end_ang: float) -> None:
        super().__init__()
        centres = torch.linspace(start_ang, end_ang, n_functions)
        self.centres: Tensor
        self.register_buffer("centres", centres, persistent=False)
        self.factor = -0.5 / float(centres[1] - centres[0]) ** 2

    def forward(self, distance2: Tensor) -> Tensor:
        distance = torch.sqrt(distance2 + 1e-8)
        exponent = self.factor * (distance - self.centres) ** 2
        # Far from a centre the values would be subnormal numbers, with which CPUs are many times slower.
        return torch.exp(exponent.clamp(min=SMALLEST_EXPONENT))


class EquivariantBlock(nn.Module):
    """`inv_sublayers` rounds of messages, then one move of the coordinates."""

    def __init__(self, options: EGNNOptions, n_pair_inputs: int) -> None:
        super().__init__()
        self.messages = nn.ModuleList(
            MessageLayer(options, n_pair_inputs) for _ in range(options.inv_sublayers)
        )
        self.move = CoordinateLayer(options, n_pair_inputs)

    def forward(
        self, h: Tensor, pair_inputs: Tensor, direction: Tensor, receiver: Tensor, sender: Tensor
    ) -> tuple[Tensor, Tensor]:
        for layer in self.messages:
            h = layer(h, pair_inputs, receiver, sender)
        return h, self.move(h, pair_inputs, direction, receiver, sender)


class MessageLayer(nn.Module):
    """h_i + MLP(h_i, sum_j e_ij m_ij) with messages m_ij from both atoms and their distance, gates e_ij."""

    def __init__(self, options: EGNNOptions, n_pair_inputs: int) -> None:
        super().__init__()
        n_features = options.n_features
        self.pair = PairLinear(n_features, n_pair_inputs)
        self.pair_out = Linear(n_features, n_features)
        self.attention = Linear(n_features, 1) if options.attention else None
        self.atom = nn.Sequential(
            Linear(2 * n_features, n_features), nn.SiLU(), Linear(n_features, n_features)
        )
        self.aggregate = Aggregate(options.aggregation, options.normalization_factor)

    def forward(self, h: Tensor, pair_inputs: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
        message = silu(self.pair_out(silu(self.pair(h, pair_inputs, receiver, sender))))
        if self.attention is not None:
            message = multiplied(message, torch.sigmoid(self.attention(message)))
        received = self.aggregate(message, receiver, len(h))
        updated: Tensor = h + self.atom(torch.cat([h, received], dim=1))
        return updated


class CoordinateLayer(nn.Module):
    """Moves [n_atoms_total, 3] of the coordinates along the directions to all other atoms."""

    def __init__(self, options: EGNNOptions, n_pair_inputs: int) -> None:
        super().__init__()
        n_features = options.n_features
        self.pair = PairLinear(n_features, n_pair_inputs)
        self.pair_out = Linear(n_features, n_features)
        self.weight = Linear(n_features, 1, bias=False)
        nn.init.xavier_uniform_(self.weight.weight, gain=0.001)  # starts as a network that hardly moves atoms
        self.tanh = options.tanh
        self.coords_range = options.coords_range
        self.aggregate = Aggregate(options.aggregation, options.normalization_factor)

    def forward(
        self, h: Tensor, pair_inputs: Tensor, direction: Tensor, receiver: Tensor, sender: Tensor
    ) -> Tensor:
        weight = self.weight(silu(self.pair_out(silu(self.pair(h, pair_inputs, receiver, sender)))))
        if self.tanh:
            weight = torch.tanh(weight) * self.coords_range
        moved: Tensor = self.aggregate(direction * weight, receiver, len(h))
        return moved


class PairLinear(nn.Module):
    """Linear layer on [h_receiver, h_sender, pair inputs], computed per atom where the inputs belong to
    atoms.
    """

    def __init__(self, n_features: int, n_pair_inputs: int) -> None:
        super().__init__()
        whole = nn.Linear(2 * n_features + n_pair_inputs, n_features)  # the published initialisation
        receiver, sender, pair = torch.split(
            whole.weight.detach(), [n_features, n_features, n_pair_inputs], dim=1
        )
        self.receiver = nn.Parameter(receiver.clone())
        self.sender = nn.Parameter(sender.clone())
        self.pair = nn.Parameter(pair.clone())
        self.bias = nn.Parameter(whole.bias.detach().clone())

    def forward(self, h: Tensor, pair_inputs: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
        from_receiver = gather(linear(h, self.receiver, self.bias), receiver)
        from_sender = gather(linear(h, self.sender, None), sender)
        return added(added(linear(pair_inputs, self.pair, None), from_receiver), from_sender)


class Aggregate(nn.Module):
    """Sum of pair values over senders divided by a constant, or their mean."""

    def __init__(self, aggregation: Aggregation, normalization_factor: float) -> None:
        super().__init__()
        self.mean = aggregation == "mean"
        self.factor = normalization_factor

    def forward(self, values: Tensor, receiver: Tensor, n_atoms: int) -> Tensor:
        total = values.new_zeros((n_atoms, values.shape[1])).index_add(0, receiver, values)
        if not self.mean:
            return total / self.factor
        count = torch.bincount(receiver, minlength=n_atoms).clamp(min=1)
        return total / count[:, None].to(total.dtype)
