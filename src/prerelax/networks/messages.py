"""PaiNN's messages: filtered sums over neighbours, in two ways that give the same numbers.

`_plain_messages` is a few tensor operations over all pairs, differentiable any number of times.
`_BlockedMessages` is for CPUs and fixed positions: it works through blocks of neighbours that stay in cache,
and recomputes in the backward pass what the other way stores.

It exploits that distances are symmetric: what atom i sends to j is filtered like what j sends to i, so the
gradient of what an atom sends is again a sum over the atom's own neighbours, and nothing is scattered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from prerelax.networks.neighbours import NeighbourBlock, Neighbours, PaddedNeighbours, padded_neighbours

CACHE_BYTES = 1_500_000
"""Size of one block's gathered features: a little more than a core's second-level cache, measured best."""


@dataclass(frozen=True)
class Edges:
    """The neighbours of a batch with the features from which filters are linear."""

    neighbours: Neighbours
    padded: PaddedNeighbours | None
    """None where messages go the plain way"""
    features: Tensor
    """[n_pairs, n_edge_features], or [n_places, n_edge_features] of the padded lists"""


def make_edges(
    neighbours: Neighbours,
    cutoff: float,
    n_features: int,
    edge_features: Callable[[Tensor, Tensor | None], Tensor],
) -> Edges:
    """Choose the way of `messages` for atoms with `n_features` features.

    `edge_features` makes [n, n_edge_features] of distances [n] Å and topological distances [n]; it must be
    zero at the cutoff.
    """
    distance = neighbours.distance
    if distance.requires_grad or distance.device.type != "cpu":
        return Edges(neighbours, None, edge_features(distance, neighbours.topological_distance))
    places = CACHE_BYTES // (5 * n_features * distance.element_size())
    padded = padded_neighbours(neighbours, cutoff, places)
    return Edges(neighbours, padded, edge_features(padded.distance, padded.topological_distance))


def messages(sent: Tensor, vectors: Tensor | None, filters: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
    """What every atom receives: updates of the scalars [n_atoms, F] and of the vectors [n_atoms, 3, F].

    `sent` [n_atoms, 3 F] are the senders' three parts (to the scalars, along the direction, times their
    vectors), `vectors` [n_atoms, 3, F] their vectors or None where all are zero; `filters`
    [n_edge_features, 3 F] makes filters of edge features. Source: Schütt et al., ICML 2021, eqs. 7 and 8.
    """
    if edges.padded is None:
        return _plain_messages(sent, vectors, filters, edges)
    n_features = sent.shape[1] // 3
    if vectors is None:
        table = sent[:, : 2 * n_features].contiguous()
        filters = filters[:, : 2 * n_features]
    else:
        times_vectors = sent[:, None, 2 * n_features :] * vectors
        table = torch.cat([times_vectors.flatten(1), sent[:, : 2 * n_features]], dim=1)
    received: Tensor = _BlockedMessages.apply(  # type: ignore[no-untyped-call]
        table, filters, edges.features, edges.padded
    )
    return received[:, 3 * n_features :], torch.unflatten(received[:, : 3 * n_features], 1, (3, n_features))


def _plain_messages(
    sent: Tensor, vectors: Tensor | None, filters: Tensor, edges: Edges
) -> tuple[Tensor, Tensor]:
    receiver, sender = edges.neighbours.receiver, edges.neighbours.sender
    n_atoms, n_features = len(sent), sent.shape[1] // 3
    filtered = (edges.features @ filters) * sent.index_select(0, sender)
    to_scalars, along, times_vectors = torch.split(filtered, n_features, dim=1)
    to_vectors = along[:, None, :] * edges.neighbours.direction[:, :, None]
    if vectors is not None:
        to_vectors = to_vectors + times_vectors[:, None, :] * vectors.index_select(0, sender)
    scalars = sent.new_zeros(n_atoms, n_features).index_add(0, receiver, to_scalars)
    return scalars, sent.new_zeros(n_atoms, 3, n_features).index_add(0, receiver, to_vectors)


class _MessagesContext(FunctionCtx):
    """What the backward pass of `_BlockedMessages` is given."""

    saved_tensors: tuple[Tensor, ...]
    padded: PaddedNeighbours


class _BlockedMessages(torch.autograd.Function):
    """Received sums [n_atoms, 4 F]: x, y, z of the vectors, then the scalars.

    The table [n_atoms, 5 F] holds x, y, z of each atom's scaled vectors, its part to the scalars and its
    part along the direction; the filters [n_edge_features, 3 F] are in the order of `messages`. Where all
    vectors are zero both lack them: [n_atoms, 2 F] and [n_edge_features, 2 F].
    """

    @staticmethod
    def forward(
        ctx: _MessagesContext, table: Tensor, filters: Tensor, features: Tensor, padded: PaddedNeighbours
    ) -> Tensor:
        ctx.save_for_backward(table, filters, features)
        ctx.padded = padded
        n_features = (table.shape[1] - filters.shape[1] or filters.shape[1]) // 2
        received = [_received(table, filters, features, n_features, block) for block in padded.blocks]
        return torch.cat(received).index_select(0, padded.position_of_atom)

    @staticmethod
    def backward(ctx: _MessagesContext, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        table, filters, features = ctx.saved_tensors
        n_columns, n_features = table.shape[1], grad.shape[1] // 4
        # A free last part, in which each block puts the gradient along the direction.
        grad = torch.nn.functional.pad(grad, (0, n_features))
        column_filters = _of_columns(filters, n_features) if n_columns == 5 * n_features else filters
        grad_column_filters = torch.zeros_like(column_filters)
        rows = []
        for block in ctx.padded.blocks:
            per_edge_feature = _grad_per_edge_feature(grad, features, n_columns, block)
            product = per_edge_feature * column_filters
            rows.append(product.sum(1))
            torch.mul(per_edge_feature, table.index_select(0, block.atoms)[:, None], out=product)
            grad_column_filters += product.sum(0)
        grad_table = torch.cat(rows).index_select(0, ctx.padded.position_of_atom)
        if n_columns == 5 * n_features:
            x, y, z, others = grad_column_filters.tensor_split(
                (n_features, 2 * n_features, 3 * n_features), dim=1
            )
            return grad_table, torch.cat([others, x + y + z], dim=1), None, None
        return grad_table, grad_column_filters, None, None


def _received(
    table: Tensor, filters: Tensor, features: Tensor, n_features: int, block: NeighbourBlock
) -> Tensor:
    """Sums [atoms of the block, 4 F]."""
    n, width, _ = block.directions.shape
    weights = features[block.places] @ filters
    sent = table.index_select(0, block.senders)
    sent[:, -2 * n_features :] *= weights[:, : 2 * n_features]
    with_vectors = table.shape[1] == 5 * n_features
    if with_vectors:
        torch.unflatten(sent[:, : 3 * n_features], 1, (3, n_features)).mul_(
            weights[:, None, 2 * n_features :]
        )
    sent = sent.view(n, width, table.shape[1])
    along = torch.bmm(block.directions.transpose(1, 2), sent[..., -n_features:]).flatten(1)
    sums = sent[..., :-n_features].sum(1)
    if not with_vectors:
        return torch.cat([along, sums], dim=1)
    sums[:, : 3 * n_features] += along
    return sums


def _grad_per_edge_feature(grad: Tensor, features: Tensor, n_columns: int, block: NeighbourBlock) -> Tensor:
    """Gradient [atoms, n_edge_features, n_columns] of the block's rows of the table, before the filters.

    The block's atoms are the senders here; the gradients of their neighbours are gathered.
    """
    n, width, _ = block.directions.shape
    n_features = grad.shape[1] // 5
    of_neighbours = grad.index_select(0, block.senders).view(n, width, 5 * n_features)
    # Seen from the neighbour, the direction points the other way.
    x, y, z = (-block.directions).unsqueeze(-1).unbind(2)
    along = of_neighbours[..., 4 * n_features :]
    for i, component in enumerate((x, y, z)):
        along.addcmul_(component, of_neighbours[..., i * n_features : (i + 1) * n_features])
    of_features = (
        features[block.places].view(n, width, -1) if width else features.new_zeros(n, 0, features.shape[1])
    )
    return torch.bmm(of_features.transpose(1, 2), of_neighbours[..., -n_columns:])


def _of_columns(filters: Tensor, n_features: int) -> Tensor:
    """The filters [n_edge_features, 5 F] in the order of the table's columns."""
    times_vectors = filters[:, 2 * n_features :]
    return torch.cat([times_vectors, times_vectors, times_vectors, filters[:, : 2 * n_features]], dim=1)
