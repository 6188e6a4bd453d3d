"""PaiNN, the equivariant message-passing network of Schütt, Unke and Gastegger (ICML 2021).

Numerically the one of SchNetPack 2.1.1 with unshared interactions and filters, Gaussian radial basis and
cosine cutoff; parameter names and shapes are SchNetPack's. Two things are our own: the option `bond_graph`,
which gives the filters the topological distance of the two atoms beside their distance in space, and the way
the sums are computed (`messages`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prerelax.molecules.topology import MAX_TOPOLOGICAL_DISTANCE
from prerelax.networks.batch import Batch
from prerelax.networks.heads import Dense, Perceptron, dot
from prerelax.networks.messages import make_edges, messages
from prerelax.networks.neighbours import neighbours_within

N_EMBEDDED_ELEMENTS = 100
"""Rows of SchNetPack's embedding table; row Z belongs to atomic number Z."""


class PaiNN(nn.Module):
    """Scalars [n_atoms, F] and vectors [n_atoms, 3, F] per atom from elements and geometry.

    `cutoff` in Å; `n_radial` Gaussians evenly spaced from 0 to the cutoff; with `bond_graph` the batch must
    carry topological distances (ValueError otherwise). Source: ICML 2021, eqs. 7–10.
    """

    def __init__(
        self,
        n_features: int = 256,
        n_interactions: int = 3,
        n_radial: int = 20,
        cutoff: float = 5.0,
        bond_graph: bool = False,
    ) -> None:
        super().__init__()
        self.n_features = n_features
        self.cutoff = cutoff
        self.bond_graph = bond_graph
        self.embedding = nn.Embedding(N_EMBEDDED_ELEMENTS, n_features)
        self.radial_basis = GaussianBasis(n_radial, cutoff)
        # The last edge feature is the filters' bias.
        n_inputs = n_edge_features(n_radial, bond_graph) - 1
        self.filter_net = Dense(n_inputs, 3 * n_features * n_interactions)
        self.interactions = nn.ModuleList(SenderNetwork(n_features) for _ in range(n_interactions))
        self.mixing = nn.ModuleList(Mixing(n_features) for _ in range(n_interactions))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        if self.bond_graph and batch.topological_distance is None:
            raise ValueError("this network uses the bond graph: the batch needs topological distances")
        neighbours = neighbours_within(batch, self.cutoff)
        edges = make_edges(neighbours, self.cutoff, self.n_features, self._edge_features)
        scalars = self.embedding(batch.numbers)
        vectors: Tensor | None = None
        for i, (interaction, mixing) in enumerate(zip(self.interactions, self.mixing, strict=True)):
            to_scalars, to_vectors = messages(interaction(scalars), vectors, self._filters(i), edges)
            vectors = to_vectors if vectors is None else vectors + to_vectors
            scalars, vectors = mixing(scalars + to_scalars, vectors)
        assert vectors is not None
        return scalars, vectors

    def _edge_features(self, distance: Tensor, topological_distance: Tensor | None) -> Tensor:
        return edge_features(self.radial_basis, distance, topological_distance, self.cutoff, self.bond_graph)

    def _filters(self, interaction: int) -> Tensor:
        """[n_edge_features, 3 F] of one interaction, the bias as last row."""
        rows = slice(interaction * 3 * self.n_features, (interaction + 1) * 3 * self.n_features)
        return torch.cat([self.filter_net.weight[rows].t(), self.filter_net.bias[None, rows]])


class GaussianBasis(nn.Module):
    """exp(-(d - centre)² / 2 width²) with evenly spaced centres from 0 to the cutoff, width = spacing."""

    def __init__(self, n_radial: int, cutoff: float) -> None:
        super().__init__()
        offsets = torch.linspace(0.0, cutoff, n_radial)
        self.register_buffer("offsets", offsets)
        self.register_buffer("widths", (offsets[1] - offsets[0]).expand(n_radial).clone())
        self.offsets: Tensor
        self.widths: Tensor

    def forward(self, distance: Tensor) -> Tensor:
        """[n_pairs, n_radial] from distances [n_pairs] Å"""
        return torch.exp(-0.5 / self.widths**2 * (distance[:, None] - self.offsets) ** 2)


def n_edge_features(n_radial: int, bond_graph: bool) -> int:
    """Width of `edge_features`."""
    return n_radial + (MAX_TOPOLOGICAL_DISTANCE + 1 if bond_graph else 0) + 1


def edge_features(
    basis: GaussianBasis,
    distance: Tensor,
    topological_distance: Tensor | None,
    cutoff: float,
    bond_graph: bool,
) -> Tensor:
    """Inputs [n_pairs, n_edge_features] of linear filters; all fall to zero at the cutoff.

    Radial basis, with `bond_graph` the topological distance as one-hot vector, and a one for the bias.
    """
    parts = [basis(distance)]
    if bond_graph and topological_distance is not None:
        one_hot = nn.functional.one_hot(topological_distance, MAX_TOPOLOGICAL_DISTANCE + 1)
        parts.append(one_hot.to(distance.dtype))
    parts.append(torch.ones_like(distance)[:, None])
    smooth_end = 0.5 * (torch.cos(distance * (torch.pi / cutoff)) + 1.0)
    return torch.cat(parts, dim=1) * smooth_end[:, None]


class SenderNetwork(nn.Module):
    """What every atom sends, before it is filtered: [n_atoms, 3 F] from scalars [n_atoms, F]."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.interatomic_context_net = Perceptron([n_features, n_features, 3 * n_features])

    def forward(self, scalars: Tensor) -> Tensor:
        sent: Tensor = self.interatomic_context_net(scalars)
        return sent


class Mixing(nn.Module):
    """Exchange between scalars and vectors within each atom."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.intraatomic_context_net = Perceptron([2 * n_features, n_features, 3 * n_features])
        self.mu_channel_mix = Dense(n_features, 2 * n_features, bias=False)

    def forward(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        mixed_v, mixed_w = self.mu_channel_mix(vectors).chunk(2, dim=-1)
        # 1e-8 keeps the norm of a zero vector differentiable.
        norms = torch.sqrt(dot(mixed_v, mixed_v) + 1e-8)
        context = self.intraatomic_context_net(torch.cat([scalars, norms], dim=-1))
        to_scalars, gates, products = context.chunk(3, dim=-1)
        scalars = scalars + to_scalars + products * dot(mixed_v, mixed_w)
        return scalars, vectors + gates[:, None, :] * mixed_w
