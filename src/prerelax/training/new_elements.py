"""Elements that a network never met: what their embeddings begin with, and how they are learned first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from prerelax.datasets.structures import Structures
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.networks.batch import Batch, centred
from prerelax.networks.morered import AtomNetwork
from prerelax.networks.staged import StagedNetwork
from prerelax.training.data import MixedStream
from prerelax.training.refinement_loss import distance_errors
from prerelax.training.staged_loss import after_call

STEPS, BATCH_SIZE = 200, 8
FIRST_RATE = 0.3
"""Of embeddings whose numbers are about 1; it falls to nothing."""


def introduce(network: nn.Module, new: list[int], known: list[int]) -> None:
    """Let elements that the weights never met begin as the mean of those that they know, in every stage.

    To a random row of the embedding a trained network answers with displacements beyond all bounds, and the
    optimizer remembers such a gradient for thousands of steps.
    """
    if isinstance(network, StagedNetwork):
        for stage in network.stages:
            introduce(stage, new, known)
    elif isinstance(network, AtomNetwork) and new and known:
        weight = network.representation.embedding.weight
        with torch.no_grad():
            weight[new] = weight[known].mean(dim=0)


def acquaint(network: StagedNetwork, new: Sequence[int], pairs: Structures, schedule: NoiseSchedule) -> None:
    """Learn the embeddings of the elements `new` alone, from the pairs that have any; nothing without one.

    To what `introduce` gives them, networks that know other bond lengths may answer with geometries of
    10^20 Å, which spoil what is learned from all other pairs. So the errors count by their logarithms, each
    step is made as if its gradient had one length, and every stage learns by itself, from the starts.
    """
    having = [row for row, (_, numbers, _) in enumerate(pairs) if not set(new).isdisjoint(numbers.tolist())]
    if not having:
        return
    weights = [_embedding(stage) for stage in network.stages]
    for weight in weights:
        weight.requires_grad_(True)
    optimizer = torch.optim.Adam(weights, lr=FIRST_RATE, betas=(0.8, 0.9))
    batches = _endless(MixedStream(pairs.select(having), BATCH_SIZE, seed=0))
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = FIRST_RATE * (1.0 - step / STEPS)
        optimizer.zero_grad()
        _error(network, next(batches), schedule).backward()
        for weight in weights:
            _keep_rows(weight, new)
        optimizer.step()
    for weight in weights:
        weight.requires_grad_(False)


def _embedding(stage: nn.Module) -> nn.Parameter:
    assert isinstance(stage, AtomNetwork)
    weight = stage.representation.embedding.weight
    assert isinstance(weight, nn.Parameter)
    return weight


def _endless(stream: MixedStream) -> Iterator[Batch]:
    while True:
        yield from stream


def _error(network: StagedNetwork, batch: Batch, schedule: NoiseSchedule) -> Tensor:
    """Sum of the logarithms of what each stage leaves of the starts' errors."""
    assert batch.positions_start is not None
    minimum = centred(batch.positions, batch)
    starts = batch.with_positions(centred(batch.positions_start, batch))
    everyone = torch.ones_like(batch.n_atoms, dtype=torch.bool)
    left = [
        torch.stack(
            distance_errors(after_call(stage, step, starts, schedule), minimum, batch, everyone)
        ).sum()
        for stage, step in zip(network.stages, network.steps, strict=True)
    ]
    return torch.log1p(torch.stack(left)).sum()


def _keep_rows(weight: nn.Parameter, rows: Sequence[int]) -> None:
    """Leave of the gradient these rows alone, scaled to the length 1."""
    assert weight.grad is not None
    kept = torch.zeros_like(weight.grad)
    kept[list(rows)] = weight.grad[list(rows)]
    weight.grad = kept / kept.norm().clamp(min=1e-12)
