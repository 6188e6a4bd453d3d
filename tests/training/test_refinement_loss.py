"""The loss that trains on force-field minima."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prerelax.datasets.structures import Structures, write_npz
from prerelax.denoisers.checkpoint import load_model
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.errors import UserError
from prerelax.networks.batch import Batch, centred
from prerelax.training import train
from prerelax.training.config import RefinementOptions
from prerelax.training.data import BatchStream
from prerelax.training.refinement_loss import refinement_loss

SCHEDULE = NoiseSchedule.polynomial()


@pytest.fixture
def batch(small_set: Structures) -> Batch:
    """Molecules whose starts are 10 % too long."""
    return next(iter(BatchStream(_stretched(small_set), 8, bond_graph=True, seed=0)))


def _stretched(structures: Structures) -> Structures:
    return replace(structures, positions_start=(1.1 * structures.positions).astype(np.float32))


class Exact(nn.Module):
    """Knows the minima and how the samplers read its prediction."""

    def __init__(self, minimum: Tensor) -> None:
        super().__init__()
        self.minimum = minimum
        self.times: list[Tensor] = []

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        self.times.append(time)
        step = (time * SCHEDULE.timesteps).round().long()[batch.molecule_index, None]
        alpha, sigma = SCHEDULE.alpha[step], SCHEDULE.sigma[step]
        noised = batch.positions - alpha * self.minimum
        from_start = (batch.positions - self.minimum) * alpha
        stretched = (batch.positions - 1.1 * self.minimum).abs().amax(1) < 1e-3
        seen_before = (batch.positions - self.minimum).abs().amax(1) < 1e-4
        return torch.where((stretched | seen_before)[:, None], from_start, noised) / sigma


@pytest.mark.parametrize("second_share", [0.0, 1.0])
def test_a_network_that_knows_the_minima_has_no_loss(batch: Batch, second_share: float) -> None:
    network = Exact(centred(batch.positions, batch))
    random = torch.Generator().manual_seed(0)
    losses = refinement_loss(
        network, batch, SCHEDULE, (20, 100), random, RefinementOptions(second_share=second_share)
    )
    assert float(losses["loss"]) < 1e-4
    steps = torch.cat(network.times) * SCHEDULE.timesteps
    if second_share:
        assert steps.round().tolist() == [50.0] * batch.n_molecules + [12.0] * batch.n_molecules
    else:
        assert 1 < (steps.round() == 50).sum() < batch.n_molecules


def test_distances_count_by_their_class(batch: Batch) -> None:
    class Idle(nn.Module):
        def forward(self, batch: Batch, time: Tensor) -> Tensor:
            return torch.zeros_like(batch.positions)

    random = torch.Generator().manual_seed(0)
    losses = refinement_loss(
        Idle(),
        batch,
        SCHEDULE,
        (0, 100),
        random,
        RefinementOptions(start_share=1.0, second_share=0.0, noise_weight=0.0),
    )
    graph, (i, j) = batch.topological_distance, batch.pairs
    assert graph is not None
    d = (batch.positions[i] - batch.positions[j]).norm(dim=1)
    expected = torch.sqrt((0.1 * d[graph == 1] / 0.003) ** 2 + 1) - 1
    assert float(losses["bonds"]) == pytest.approx(float(expected.mean()), rel=1e-3)
    assert float(losses["loss"]) > float(losses["bonds"])


def test_a_training_set_without_starts_is_refused(batch: Batch) -> None:
    with pytest.raises(UserError, match="add-starts"):
        refinement_loss(
            Exact(batch.positions),
            replace(batch, positions_start=None),
            SCHEDULE,
            (0, 9),
            torch.Generator(),
            RefinementOptions(),
        )


def test_training_undoes_what_is_common_to_all_starts(
    tiny_training: Callable[..., Path], small_set: Structures, tmp_path: Path
) -> None:
    config = tiny_training(
        loss={"name": "refinement", "max_step": 10},
        schedule={"timesteps": 1000},
        optimization={"max_steps": 300},
    )
    write_npz(tmp_path / "set.npz", _stretched(small_set))
    train(config)
    model = load_model(tmp_path / "run/model")
    errors: dict[str, list[float]] = {"before": [], "after": []}
    for identifier, numbers, positions in small_set:
        start = SamplerInput(str(identifier), numbers.astype(int), 1.1 * positions.astype(float))
        result = sample(model, [start], SamplerOptions(sampler="few", steps=50, calls=1))[0]
        for name, geometry in (("before", start.positions), ("after", result.positions)):
            lengths = np.linalg.norm(np.diff(geometry, axis=0), axis=1)
            errors[name].append(np.abs(lengths - np.linalg.norm(np.diff(positions, axis=0), axis=1)).mean())
    assert np.mean(errors["after"]) < 0.3 * np.mean(errors["before"])
