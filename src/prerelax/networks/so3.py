"""An SO(3)-equivariant trunk on e3nn: spherical harmonics and Clebsch-Gordan products (extra `so3`).

The architecture of SchNetPack's SO3net, which MoreRed's paper uses as the second backbone (B.5): convolution
over neighbours, product of the result with itself, gate, each followed by a linear mixing of the features.
"""

from __future__ import annotations

from itertools import product
from types import ModuleType
from typing import cast

import torch
from torch import Tensor, nn

from prerelax.errors import MissingProgramError
from prerelax.networks.batch import Batch
from prerelax.networks.heads import Dense
from prerelax.networks.neighbours import neighbours_within
from prerelax.networks.painn import N_EMBEDDED_ELEMENTS, GaussianBasis, edge_features, n_edge_features


class SO3Net(nn.Module):
    """Scalars [n_atoms, F] and vectors [n_atoms, 3, F] per atom from elements and geometry.

    Features of degree 0…`max_degree` are kept, [n_atoms, (max_degree + 1)², F]; the other options are those
    of `PaiNN`. Raises MissingProgramError where e3nn is not installed and ValueError for a degree below 1.
    """

    def __init__(
        self,
        n_features: int = 128,
        n_interactions: int = 3,
        n_radial: int = 20,
        cutoff: float = 5.0,
        bond_graph: bool = False,
        max_degree: int = 2,
    ) -> None:
        super().__init__()
        if max_degree < 1:
            raise ValueError(f"max_degree must be at least 1, for vectors are needed, not {max_degree}")
        self.cutoff = cutoff
        self.bond_graph = bond_graph
        self.max_degree = max_degree
        self.embedding = nn.Embedding(N_EMBEDDED_ELEMENTS, n_features)
        self.radial_basis = GaussianBasis(n_radial, cutoff)
        n_edge = n_edge_features(n_radial, bond_graph)
        self.interactions = nn.ModuleList(
            Interaction(n_features, n_edge, max_degree) for _ in range(n_interactions)
        )
        self.register_buffer("coupling", coupling(max_degree), persistent=False)
        self.coupling: Tensor

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        o3 = _spherical_tensors()
        if self.bond_graph and batch.topological_distance is None:
            raise ValueError("this network uses the bond graph: the batch needs topological distances")
        neighbours = neighbours_within(batch, self.cutoff)
        edges = edge_features(
            self.radial_basis,
            neighbours.distance,
            neighbours.topological_distance,
            self.cutoff,
            self.bond_graph,
        )
        degrees = list(range(self.max_degree + 1))
        harmonics = o3.spherical_harmonics(
            degrees, neighbours.direction, normalize=False, normalization="norm"
        )
        scalars = self.embedding(batch.numbers)[:, None]
        x = nn.functional.pad(scalars, (0, 0, 0, (self.max_degree + 1) ** 2 - 1))
        operators = self._operators(harmonics)
        for interaction in self.interactions:
            x = interaction(x, edges, operators, neighbours.receiver, neighbours.sender, self.coupling)
        # e3nn keeps degree 1 in the order x, y, z.
        return x[:, 0], x[:, 1:4]

    def _operators(self, harmonics: Tensor) -> list[Tensor]:
        """For each degree the matrices [n_pairs, S, S] that turn a sender's features into a message."""
        operators = []
        for degree in range(self.max_degree + 1):
            orders = slice(degree**2, (degree + 1) ** 2)
            operators.append(torch.einsum("pa,abc->pbc", harmonics[:, orders], self.coupling[orders]))
        return operators


class Interaction(nn.Module):
    """x + mix(gate(mix(m + m ⊗ mix(m)))) with the messages m that an atom receives."""

    def __init__(self, n_features: int, n_edge: int, max_degree: int) -> None:
        super().__init__()
        self.n_degrees = max_degree + 1
        # The last edge feature is the filters' bias.
        self.filter_net = Dense(n_edge - 1, self.n_degrees * n_features)
        self.mixing = nn.ModuleList(nn.Linear(n_features, n_features, bias=False) for _ in range(3))
        self.gate = nn.Linear(n_features, self.n_degrees * n_features)
        degrees = [degree for degree in range(self.n_degrees) for _ in range(2 * degree + 1)]
        self.register_buffer("degree_of", torch.tensor(degrees), persistent=False)
        self.degree_of: Tensor

    def forward(
        self,
        x: Tensor,
        edges: Tensor,
        operators: list[Tensor],
        receiver: Tensor,
        sender: Tensor,
        coupling: Tensor,
    ) -> Tensor:
        n_features = x.shape[-1]
        weights = torch.cat([self.filter_net.weight.t(), self.filter_net.bias[None]])
        filters = torch.unflatten(edges @ weights, 1, (self.n_degrees, n_features))
        sent = x.index_select(0, sender)
        messages = torch.zeros_like(sent)
        for degree, operator in enumerate(operators):
            messages = messages + (operator.transpose(1, 2) @ sent) * filters[:, degree, None]
        received = torch.zeros_like(x).index_add(0, receiver, messages)
        mixed = self.mixing[0](received)
        squared = (received[:, :, None] * mixed[:, None]).flatten(1, 2)
        received = received + coupling.flatten(0, 1).t() @ squared
        received = self.mixing[1](received)
        gates = torch.unflatten(torch.sigmoid(self.gate(received[:, 0])), 1, (self.n_degrees, n_features))
        updated: Tensor = x + self.mixing[2](received * gates.index_select(1, self.degree_of))
        return updated


def coupling(max_degree: int) -> Tensor:
    """Clebsch-Gordan coefficients [S, S, S] of real spherical harmonics, S = (max_degree + 1)².

    Only couplings that keep parity (even sum of degrees): reflections act on the result as on a geometry.
    """
    o3 = _spherical_tensors()
    size = (max_degree + 1) ** 2
    table = torch.zeros(size, size, size)
    degrees = range(max_degree + 1)
    for a, b, c in product(degrees, degrees, degrees):
        if abs(a - b) <= c <= a + b and (a + b + c) % 2 == 0:
            block = o3.wigner_3j(a, b, c) * (2 * c + 1) ** 0.5
            table[a * a : (a + 1) ** 2, b * b : (b + 1) ** 2, c * c : (c + 1) ** 2] = block
    return table


def _spherical_tensors() -> ModuleType:
    """The part of e3nn that is needed. Raises MissingProgramError where it is not installed."""
    try:
        from e3nn import o3
    except ImportError as error:
        raise MissingProgramError("the backbone so3 needs e3nn: pip install 'prerelax[so3]'") from error
    return cast(ModuleType, o3)
