"""Order and contents of training batches, gradient clipping."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from prerelax.datasets.structures import Structures, collect
from prerelax.molecules.topology import bonds_from_geometry, topological_distances
from prerelax.networks.batch import make_batch
from prerelax.training.data import BatchStream, MixedStream
from prerelax.training.module import GradientClipper


def _seen(stream: BatchStream, n_batches: int) -> list[np.ndarray]:
    """Positions of the next batches, across epochs."""
    epochs = itertools.chain.from_iterable(iter(stream) for _ in itertools.count())
    return [batch.positions.numpy() for batch in itertools.islice(epochs, n_batches)]


def test_an_epoch_holds_every_molecule_once(small_set: Structures) -> None:
    stream = BatchStream(small_set, batch_size=8, bond_graph=True, seed=0)
    for _ in range(2):
        batches = list(stream)
        assert len(batches) == len(stream)
        assert all(len(batch.n_atoms.unique()) == 1 for batch in batches)
        atoms = np.concatenate([batch.positions.numpy() for batch in batches])
        np.testing.assert_array_equal(np.unique(atoms, axis=0), np.unique(small_set.positions, axis=0))


def test_batches_are_those_of_make_batch(small_set: Structures) -> None:
    stream = BatchStream(small_set, batch_size=4, bond_graph=True, seed=0, shuffle=False)
    batch = next(iter(stream))
    rows = np.flatnonzero(small_set.n_atoms == small_set.n_atoms.min())[:4]
    molecules = [(z, x) for _, z, x in small_set.select(rows)]
    graphs = [topological_distances(bonds_from_geometry(z, x)) for z, x in molecules]
    expected = make_batch([z for z, _ in molecules], [x for _, x in molecules], graphs)
    for name, value in vars(expected).items():
        if value is not None:
            torch.testing.assert_close(getattr(batch, name), value)


@pytest.mark.parametrize("n_before", [1, 4, 7, 15])
def test_a_resumed_stream_goes_on_where_it_was(small_set: Structures, n_before: int) -> None:
    whole, first, second = (BatchStream(small_set, 8, False, seed=1) for _ in range(3))
    expected = _seen(whole, 25)
    _seen(first, n_before)
    second.seek(n_before)
    assert second.state_dict() == first.state_dict()
    for ours, theirs in zip(_seen(second, 10), expected[n_before:], strict=False):
        np.testing.assert_array_equal(ours, theirs)


def test_epochs_differ_and_seeds_repeat_them(small_set: Structures) -> None:
    stream, again = (BatchStream(small_set, 60, False, seed=5) for _ in range(2))
    first, second = list(stream), list(stream)
    assert any(not torch.equal(a.positions, b.positions) for a, b in zip(first, second, strict=True))
    for a, b in zip(first, list(again), strict=True):
        assert torch.equal(a.positions, b.positions)


def test_single_atoms_are_left_out() -> None:
    atom = (1, np.array([8]), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="more than one atom"):
        BatchStream(collect([atom]), 8, False, seed=0)


def _with_gradient(value: float) -> nn.Module:
    network = nn.Linear(1, 1, bias=False)
    network.weight.grad = torch.full_like(network.weight, value)
    return network


def test_clipping_follows_recent_norms_as_in_edm() -> None:
    clipper = GradientClipper("edm")
    for _ in range(60):
        clipper(_with_gradient(2.0))
    assert clipper.limit == pytest.approx(3.0)
    network = _with_gradient(100.0)
    assert clipper(network) == pytest.approx(100.0)
    assert float(network.weight.grad.norm()) == pytest.approx(3.0, rel=1e-3)  # type: ignore[union-attr]
    assert clipper.recent[-1] == pytest.approx(3.0)


def test_gradients_that_are_not_finite_are_dropped() -> None:
    network = _with_gradient(float("nan"))
    clipper = GradientClipper(1.0)
    clipper(network)
    assert network.weight.grad is None


def test_batches_of_mixed_sizes_hold_each_molecule_once_and_go_on_where_they_stopped(
    small_set: Structures,
) -> None:
    stream = MixedStream(small_set, 8, seed=3)
    assert (len(stream), stream.n_molecules) == (7, 60)
    first, second = list(stream), list(stream)
    assert all(batch.n_molecules == 8 for batch in first)
    assert any(len(set(batch.n_atoms.tolist())) > 1 for batch in first)
    # The chains of the set differ in their third coordinate.
    seen = torch.cat([batch.positions[:, 2] for batch in first]).unique()
    assert len(seen) == 56
    resumed = MixedStream(small_set, 8, seed=3)
    resumed.seek(len(stream) + 2)
    torch.testing.assert_close(next(iter(resumed)).positions, second[2].positions)
    assert len(MixedStream(small_set.select([0, 1, 2]), 8, seed=3)) == 1
