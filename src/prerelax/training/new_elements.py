"""Elements that a network never met: what their embeddings begin with, and how they are learned first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
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
PROBES = 20
"""Pairs of an element, at most, that say as which known one it begins, and whether it was learned."""
LEARNING_RATES = (0.3, 0.1, 0.03)
"""Of embeddings whose numbers are about 1; each falls to nothing. The next where one led nowhere better."""


def begin_as_mean(network: nn.Module, new: list[int], known: list[int]) -> None:
    """Let elements that the weights never met begin as the mean of those that they know, in every stage.

    To a random row of the embedding a trained network answers with displacements beyond all bounds, and the
    optimizer remembers such a gradient for thousands of steps.
    """
    if isinstance(network, StagedNetwork):
        for stage in network.stages:
            begin_as_mean(stage, new, known)
    elif isinstance(network, AtomNetwork) and new and known:
        weight = network.representation.embedding.weight
        with torch.no_grad():
            weight[new] = weight[known].mean(dim=0)


def fit_embeddings(
    network: StagedNetwork,
    new: Sequence[int],
    known: Sequence[int],
    pairs: Structures,
    schedule: NoiseSchedule,
    max_minutes: float | None = None,
) -> None:
    """Learn the embeddings of the elements `new` alone, from the pairs that have any; nothing without one.

    `new` and `known` are atomic numbers, the rows of each stage's embedding [n_elements, n_features], which
    is changed in place. It takes `max_minutes` at most, but for the choice of what each begins with.

    To what `begin_as_mean` gives them, networks that know other bond lengths may answer with geometries of
    10^20 Å, which spoil what is learned from all other pairs. So an element begins as the known one, or their
    mean, by which a stage errs least. Then the errors count by their logarithms, each step is made as if its
    gradient had one length, and every stage learns by itself, from the starts.
    """
    of_pairs = [set(new) & set(numbers.tolist()) for _, numbers, _ in pairs]
    having = [row for row, found in enumerate(of_pairs) if found]
    having.sort(key=lambda row: len(of_pairs[row]))  # those of one new element first
    probes = {z: [row for row in having if z in of_pairs[row]][:PROBES] for z in new}
    probes = {z: rows for z, rows in probes.items() if rows}
    if not probes:
        return
    few = {z: _batch(pairs, rows) for z, rows in probes.items()}
    together = _batch(pairs, sorted({row for rows in probes.values() for row in rows}))
    minutes = math.inf if max_minutes is None else max_minutes
    seconds = 60.0 * minutes / (len(network.stages) * len(LEARNING_RATES))
    for stage, step in zip(network.stages, network.steps, strict=True):
        weight = _embedding(stage)
        left = partial(log_error, stage, step, schedule)
        for element, batch in few.items():
            _begin_as_nearest(weight, element, known, partial(left, batch))
        begun, before = weight.detach().clone(), _or_infinite(left(together))
        for rate in LEARNING_RATES:
            stream = MixedStream(pairs.select(having), BATCH_SIZE, seed=0)
            _fit_rows(weight, new, rate, (left(batch) for batch in _endless(stream)), seconds)
            if _or_infinite(left(together)) < before:
                break
            with torch.no_grad():
                weight.copy_(begun)


def _batch(pairs: Structures, rows: Sequence[int]) -> Batch:
    return next(iter(MixedStream(pairs.select(rows), len(rows), seed=0)))


def _embedding(stage: nn.Module) -> nn.Parameter:
    assert isinstance(stage, AtomNetwork)
    weight = stage.representation.embedding.weight
    assert isinstance(weight, nn.Parameter)
    return weight


def log_error(stage: nn.Module, step: int, schedule: NoiseSchedule, batch: Batch) -> Tensor:
    """log(1 + error) of the geometries that one call of a stage makes of the starts, a scalar without unit.

    The error is that of `distance_errors`, summed over its classes of pairs.
    """
    assert batch.positions_start is not None
    minimum = centred(batch.positions, batch).double()
    starts = batch.with_positions(centred(batch.positions_start, batch))
    everyone = torch.ones_like(batch.n_atoms, dtype=torch.bool)
    after = after_call(stage, step, starts, schedule).double()  # the square of 10^20 Å is beyond float32
    return torch.log1p(torch.stack(distance_errors(after, minimum, batch, everyone)).sum())


def _or_infinite(error: Tensor) -> float:
    """Infinite where an error is no number."""
    return float(error.detach().nan_to_num(nan=torch.inf))


def _begin_as_nearest(
    weight: nn.Parameter, new: int, known: Sequence[int], left: Callable[[], Tensor]
) -> None:
    """Give an element the embedding that it has, or a known element's, whichever leaves least."""
    with torch.no_grad():
        choices, errors = [weight[new].clone(), *weight[list(known)]], []
        for choice in choices:
            weight[new] = choice
            errors.append(_or_infinite(left()))
        weight[new] = choices[int(np.argmin(errors))]


def _fit_rows(
    weight: nn.Parameter, rows: Sequence[int], rate: float, errors: Iterator[Tensor], seconds: float
) -> None:
    """Learn these rows in STEPS steps or so many seconds, the rate falling to nothing all the same."""
    weight.requires_grad_(True)
    optimizer = torch.optim.Adam([weight], lr=rate, betas=(0.8, 0.9))
    began = time.monotonic()
    for step in range(STEPS):
        done = max(step / STEPS, (time.monotonic() - began) / seconds)
        if done >= 1.0:
            break
        optimizer.param_groups[0]["lr"] = rate * (1.0 - done)
        optimizer.zero_grad()
        next(errors).backward()
        _keep_rows(weight, rows)
        optimizer.step()
    weight.requires_grad_(False)


def _endless(stream: MixedStream) -> Iterator[Batch]:
    while True:
        yield from stream


def _keep_rows(weight: nn.Parameter, rows: Sequence[int]) -> None:
    """Leave of the gradient these rows alone, scaled to the length 1; nothing where it is no number."""
    assert weight.grad is not None
    kept = torch.zeros_like(weight.grad)
    if weight.grad.isfinite().all():
        kept[list(rows)] = weight.grad[list(rows)]
    weight.grad = kept / kept.norm().clamp(min=1e-12)
