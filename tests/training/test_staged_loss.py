"""The loss that trains the stages of a network together."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from prerelax.datasets.structures import Structures, write_npz
from prerelax.denoisers.checkpoint import load_model
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion.edm import few_calls, tail_of_calls
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.errors import UserError
from prerelax.networks.batch import Batch, centred
from prerelax.networks.network import Network, Types
from prerelax.networks.staged import StagedNetwork
from prerelax.training import train
from prerelax.training.config import StagedOptions, read_config
from prerelax.training.data import BatchStream
from prerelax.training.staged_loss import geometries, staged_refinement_loss

SCHEDULE = NoiseSchedule.polynomial()
TWO = StagedOptions(weights=[0.5, 1.0])


@pytest.fixture
def batch(small_set: Structures) -> Batch:
    """Molecules whose starts are 10 % too long."""
    return next(iter(BatchStream(_stretched(small_set), 8, bond_graph=True, seed=0)))


def _stretched(structures: Structures) -> Structures:
    return replace(structures, positions_start=(1.1 * structures.positions).astype(np.float32))


class Told(Network):
    """Predicts the noise that leads to the positions it is told, times a factor that can be learned."""

    types: Types = "fixed"
    uses_bond_graph = True

    def __init__(self, goal: Tensor) -> None:
        super().__init__()
        self.goal = goal
        self.factor = torch.nn.Parameter(torch.ones(()))

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        step = (time * SCHEDULE.timesteps).round().long()[batch.molecule_index, None]
        moved: Tensor = (batch.positions - self.goal) * SCHEDULE.alpha[step] / SCHEDULE.sigma[step]
        return self.factor * moved


def told(minimum: Tensor, factors: Sequence[float]) -> StagedNetwork:
    """Two stages that make multiples of the minimum."""
    return StagedNetwork([Told(factor * minimum) for factor in factors], (50, 12))


def loss(network: Network, batch: Batch, options: StagedOptions = TWO) -> dict[str, float]:
    losses = staged_refinement_loss(network, batch, SCHEDULE, (0, 9), torch.Generator(), options)
    return {name: float(value.detach()) for name, value in losses.items()}


def test_every_stage_counts_by_its_weight(batch: Batch) -> None:
    minimum = centred(batch.positions, batch)
    assert loss(told(minimum, (1.0, 1.0)), batch)["loss"] < 1e-4
    first, last = (loss(told(minimum, factors), batch) for factors in ((1.1, 1.0), (1.0, 1.1)))
    assert first["last"] < 1e-4
    assert last["loss"] == pytest.approx(last["last"], rel=1e-3)
    assert first["loss"] == pytest.approx(0.5 * last["loss"], rel=1e-3)


def test_errors_are_counted_on_the_scale_that_is_given(batch: Batch) -> None:
    minimum = centred(batch.positions, batch)
    graph, (i, j) = batch.topological_distance, batch.pairs
    assert graph is not None
    d = (batch.positions[i] - batch.positions[j]).norm(dim=1)
    for scale in (0.33, 1.0):
        found = loss(told(minimum, (1.0, 1.1)), batch, StagedOptions(weights=[0.0, 1.0], error_scale=scale))
        for name, hops, error_ang in (("bonds", 1, 0.003), ("angles", 2, 0.006)):
            expected = torch.sqrt((0.1 * d[graph == hops] / (scale * error_ang)) ** 2 + 1) - 1
            assert found[name] == pytest.approx(float(expected.mean()), rel=1e-3)


def test_the_stages_are_called_as_the_sampler_calls_them(data_folder: Path) -> None:
    from prerelax.datasets.structures import read_npz

    model = load_model("relaxer-qm9")
    network = model.network
    assert isinstance(network, StagedNetwork)
    set_ = read_npz(data_folder / "qm9_small_test.npz")
    batch = next(iter(BatchStream(set_.with_elements(model.elements), 4, True, 0, shuffle=False)))
    assert batch.positions_start is not None
    starts = batch.with_positions(batch.positions_start)
    expected = few_calls(tail_of_calls(network, 50, len(network.stages)), model.schedule, starts)
    torch.testing.assert_close(geometries(network, starts, model.schedule)[-1], expected)


def gradients(batch: Batch, weights: list[float]) -> list[Tensor | None]:
    network = told(centred(batch.positions, batch), (1.05, 1.1))
    options = StagedOptions(weights=weights)
    losses = staged_refinement_loss(network, batch, SCHEDULE, (0, 9), torch.Generator(), options)
    losses["loss"].backward()
    return [stage.factor.grad for stage in network.stages]


def test_no_gradient_passes_from_one_stage_to_the_one_before(batch: Batch) -> None:
    (first, last), (same, more) = (gradients(batch, [0.5, weight]) for weight in (1.0, 5.0))
    torch.testing.assert_close(first, same)
    torch.testing.assert_close(more, 5 * last)
    assert abs(float(first)) > 1e-3


def test_a_stage_of_no_weight_is_not_trained(batch: Batch) -> None:
    first, last = gradients(batch, [0.0, 1.0])
    assert first is None
    torch.testing.assert_close(last, gradients(batch, [0.5, 1.0])[1])


def test_a_molecule_that_a_stage_has_lost_is_given_on_as_it_was(batch: Batch) -> None:
    minimum = centred(batch.positions, batch)
    lost = batch.molecule_index == 0
    thrown = torch.where(lost[:, None], 1e20 * minimum, minimum)
    network = StagedNetwork([Told(thrown), Told(minimum)], (50, 12))
    start = batch.with_positions(batch.positions_start)
    seen: list[Tensor] = []
    network.stages[1].register_forward_pre_hook(lambda _, given: seen.append(given[0].positions))
    first, last = geometries(network, start, SCHEDULE)
    assert not torch.allclose(first[lost], minimum[lost])
    torch.testing.assert_close(seen[0][lost], centred(batch.positions_start, batch)[lost])
    torch.testing.assert_close(seen[0][~lost], minimum[~lost], atol=1e-4, rtol=0)
    torch.testing.assert_close(last, minimum, atol=1e-4, rtol=0)


def test_what_it_cannot_count_is_refused(batch: Batch) -> None:
    two = told(batch.positions, (1.0, 1.0))
    with pytest.raises(UserError, match="add-starts"):
        loss(two, replace(batch, positions_start=None))
    with pytest.raises(UserError, match="has 1 values; the network has 2 stages"):
        loss(two, batch, StagedOptions(weights=[1.0]))
    with pytest.raises(UserError, match="network `staged`"):
        loss(Network(), batch)


@pytest.mark.parametrize(
    ("weights", "why"), [([0, 0], "no stage is trained"), ([], "no stage"), ([-1.0, 1.0], "at least 0")]
)
def test_weights_that_train_nothing_are_refused_before_a_training(
    tiny_training: Callable[..., Path], weights: list[float], why: str
) -> None:
    config = tiny_training(loss={"name": "staged-refinement", "options": {"weights": weights}})
    with pytest.raises(UserError, match=why):
        read_config(config)


def test_training_goes_on_with_a_model_in_stages(
    tiny_training: Callable[..., Path], small_set: Structures, tmp_path: Path
) -> None:
    config = tiny_training(
        loss={"name": "staged-refinement", "options": {"weights": [0.5, 1.0]}},
        schedule={"timesteps": 1000},
        optimization={"max_steps": 40, "learning_rate": 1e-3},
    )
    write_npz(tmp_path / "set.npz", _stretched(small_set))
    begun = load_model("relaxer-drugs-small").config
    settings = yaml.safe_load(config.read_text())
    settings |= {"network": begun["network"], "weights": "relaxer-drugs-small"}
    config.write_text(yaml.safe_dump(settings | {"sampler": {"name": "few", "steps": 50, "calls": 2}}))
    train(config)
    errors = {}
    for model in ("relaxer-drugs-small", str(tmp_path / "run/model")):
        changes = []
        for identifier, numbers, positions in small_set:
            start = SamplerInput(str(identifier), numbers.astype(int), 1.1 * positions.astype(float))
            (result,) = sample(load_model(model), [start])
            assert result.n_calls == 2
            lengths = np.linalg.norm(np.diff(result.positions, axis=0), axis=1)
            changes.append(np.abs(lengths - np.linalg.norm(np.diff(positions, axis=0), axis=1)).mean())
        errors[model] = np.mean(changes)
    before, after = errors.values()
    assert after < 0.7 * before
