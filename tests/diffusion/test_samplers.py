"""Sampling: results that depend on molecule and seed alone, and input that cannot be sampled."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion.edm import few_call_steps
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import SampleResult, SamplerInput
from prerelax.diffusion.samplers import sample as sample_with
from prerelax.networks import build_network
from prerelax.networks.batch import Batch
from prerelax.networks.network import Network

TOLERANCE_ANG = 1e-4


def sample(
    model: LoadedModel, molecules: list[SamplerInput], keep_trajectory: bool = False, **options: Any
) -> list[SampleResult]:
    return sample_with(model, molecules, SamplerOptions(**options), keep_trajectory=keep_trajectory)


FEW = SamplerOptions(sampler="few")


def _model(types: str = "fixed", **options: Any) -> LoadedModel:
    torch.manual_seed(0)
    network = build_network(
        {"name": "egnn", "elements": [1, 6, 8], "n_layers": 2, "n_features": 16, "types": types, **options}
    ).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("move.weight.weight"):  # a fresh network hardly moves atoms: tests could not fail
            nn.init.normal_(parameter, std=0.03)
    return LoadedModel("random", network, NoiseSchedule.polynomial(), (1, 6, 8))


def _molecule(identifier: str, n_atoms: int) -> SamplerInput:
    rng = np.random.default_rng(n_atoms)
    positions = 5.0 + rng.normal(scale=1.5, size=(n_atoms, 3))
    return SamplerInput(identifier, rng.choice([1, 6, 8], size=n_atoms), positions)


MOLECULES = [_molecule(f"m{i}", n) for i, n in enumerate([5, 12, 3, 12, 20, 7])]


@pytest.mark.parametrize("options", [{}, {"types": "diffused"}, {"bond_graph": True}])
@pytest.mark.parametrize("sampler", ["edm", "few"])
def test_result_depends_on_molecule_and_seed_alone(options: dict[str, Any], sampler: str) -> None:
    model = _model(**options)
    together = sample(model, MOLECULES, sampler=sampler, steps=10, seed=4)
    shuffled = sample(model, MOLECULES[::-1], sampler=sampler, steps=10, seed=4, batch_size=2)[::-1]
    for molecule, one, other in zip(MOLECULES, together, shuffled, strict=True):
        alone = sample(model, [molecule], sampler=sampler, steps=10, seed=4)[0]
        assert one.status == "ok"
        assert np.abs(one.positions - molecule.positions).max() > 1e-3
        np.testing.assert_allclose(one.positions, other.positions, atol=TOLERANCE_ANG)
        np.testing.assert_allclose(one.positions, alone.positions, atol=TOLERANCE_ANG)


def test_seed_and_id_choose_the_noise() -> None:
    model = _model()
    first, twin, other = (
        sample(
            model, [SamplerInput(identifier, MOLECULES[1].numbers, MOLECULES[1].positions)], steps=5, seed=s
        )[0]
        for identifier, s in [("a", 0), ("b", 0), ("a", 1)]
    )
    assert np.abs(first.positions - twin.positions).max() > 1e-3
    assert np.abs(first.positions - other.positions).max() > 1e-3


@pytest.mark.parametrize("options", [{"noise_free": True}, {"sampler": "few"}])
def test_deterministic_tails_do_not_look_at_the_seed(options: dict[str, Any]) -> None:
    model = _model()
    one, other = (sample(model, MOLECULES, steps=10, seed=seed, **options) for seed in (0, 1))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.positions, b.positions, atol=1e-6)


def test_fixed_types_change_what_a_network_with_diffused_types_sees() -> None:
    model = _model("diffused")
    free, fixed = (
        sample(model, MOLECULES, steps=30, noise_free=True, fixed_types=flag)[1] for flag in (False, True)
    )
    assert np.abs(free.positions - fixed.positions).max() > 1e-6


@pytest.mark.parametrize(("sampler", "n_calls"), [("edm", 9), ("few", 4)])
def test_trajectory_runs_from_input_to_result(sampler: str, n_calls: int) -> None:
    results = sample(_model(), MOLECULES, sampler=sampler, steps=8, calls=4, keep_trajectory=True)
    for molecule, result in zip(MOLECULES, results, strict=True):
        assert result.trajectory is not None
        assert result.n_calls == n_calls == len(result.trajectory) - 1
        np.testing.assert_allclose(result.trajectory[0], molecule.positions)
        np.testing.assert_allclose(result.trajectory[-1], result.positions)


def test_centroid_stays_where_it_was() -> None:
    far = SamplerInput("far", MOLECULES[1].numbers, np.asarray(MOLECULES[1].positions) + 1e5)
    near, moved = sample(_model(), [MOLECULES[1], far], steps=5, noise_free=True)
    np.testing.assert_allclose(moved.positions - 1e5, near.positions, atol=TOLERANCE_ANG)
    np.testing.assert_allclose(near.positions.mean(0), np.asarray(MOLECULES[1].positions).mean(0), atol=1e-5)


def test_bad_molecules_get_a_status_and_disturb_nobody() -> None:
    positions = np.asarray(MOLECULES[0].positions)
    nan = positions.copy()
    nan[2, 1] = np.nan
    graph = np.zeros((3, 3), dtype=np.uint8)
    bad = {
        "unsupported_element": SamplerInput("s", np.array([1, 16, 1, 35, 6]), positions),
        "input_error": SamplerInput("nan", MOLECULES[0].numbers, nan),
    }
    more_bad = [
        SamplerInput("empty", np.zeros(0, dtype=int), np.zeros((0, 3))),
        SamplerInput("graph", MOLECULES[0].numbers, positions, graph),
    ]
    single = SamplerInput("atom", np.array([8]), np.array([[1.0, 2.0, 3.0]]))
    model = _model(bond_graph=True)
    results = sample(model, [*bad.values(), *MOLECULES, single, *more_bad], steps=5)
    assert [r.status for r in results[:2]] == list(bad)
    assert "S, Br" in results[0].message
    np.testing.assert_array_equal(results[0].positions, positions)
    assert results[-3].status == "ok"
    np.testing.assert_array_equal(results[-3].positions, single.positions)
    assert [r.status for r in results[-2:]] == ["input_error", "input_error"]
    for one, other in zip(results[2:-3], sample(model, MOLECULES, steps=5), strict=True):
        np.testing.assert_allclose(one.positions, other.positions, atol=TOLERANCE_ANG)


class _FailsOnCarbon(Network):
    """Predicts no noise, and NaN for molecules that contain carbon."""

    types = "fixed"

    elements = (1, 6, 8)

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        carbon = torch.zeros(batch.n_molecules, dtype=torch.bool)
        carbon[batch.molecule_index[batch.numbers == 6]] = True
        noise = torch.zeros_like(batch.positions)
        noise[carbon[batch.molecule_index]] = torch.nan
        return noise


def test_a_prediction_that_is_not_finite_leaves_the_input() -> None:
    water = SamplerInput(
        "water", np.array([8, 1, 1]), np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    )
    methyl = SamplerInput("methyl", np.array([6, 1, 1]), water.positions)
    model = LoadedModel("failing", _FailsOnCarbon(), NoiseSchedule.polynomial(), (1, 6, 8))
    failed, fine = sample(model, [methyl, water], steps=3, noise_free=True)
    assert (failed.status, fine.status) == ("unknown_error", "ok")
    np.testing.assert_array_equal(failed.positions, methyl.positions)
    assert np.isfinite(fine.positions).all()


def test_two_atoms_on_one_spot_do_not_stop_the_batch() -> None:
    positions = np.asarray(MOLECULES[0].positions).copy()
    positions[1] = positions[0]
    results: list[SampleResult] = sample(
        _model(), [SamplerInput("spot", MOLECULES[0].numbers, positions), MOLECULES[1]], steps=3
    )
    assert all(np.isfinite(result.positions).all() for result in results)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "eddm"}, "sampler\n.*'edm', 'few'"),
        ({"steps": 0}, "steps\n.*greater than or equal to 1"),
        ({"steps": 1001}, "within 1…1000"),
        ({"sampler": "few", "steps": 5, "calls": 6}, "6 calls"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample(_model(), MOLECULES, **options)


@pytest.mark.parametrize("n_steps", [1, 2, 6, 20, 50, 1000])
def test_few_calls_start_at_n_and_go_down(n_steps: int) -> None:
    for n_calls in range(1, min(n_steps, 12) + 1):
        steps = few_call_steps(n_steps, n_calls)
        assert len(steps) == n_calls
        assert steps[0] == n_steps
        assert all(a > b >= 0 for a, b in itertools.pairwise(steps))


@pytest.mark.parametrize(
    ("model", "bonds_ang", "angles_ang"),
    [
        ("edm-qm9-small", 0.0020, 0.0046),
        ("relaxer-qm9-small", 0.0014, 0.0040),
        ("relaxer-qm9", 0.0008, 0.0024),
    ],
)
def test_shipped_models_move_mmff94_towards_dft(
    model: str, bonds_ang: float, angles_ang: float, data_folder: Path
) -> None:
    """The bounds are a little above the model cards' figures."""
    from prerelax.denoisers.checkpoint import load_model
    from prerelax.diffusion.evaluation import evaluate_model

    figures = evaluate_model(load_model(model), data_folder / "qm9_small_test.npz", FEW)
    assert figures["n"] > 100
    assert figures["n_failed"] == 0
    assert figures["bond_mae_ang"] < bonds_ang < figures["bond_mae_ang_start"]
    assert figures["angle_mae_ang"] < angles_ang < figures["angle_mae_ang_start"]
