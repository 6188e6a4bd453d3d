"""MoreRed's samplers where campaigns meet them: `sample` on a model folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prerelax.denoisers.checkpoint import LoadedModel, load_model, save_model
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import SampleResult, SamplerInput
from prerelax.diffusion.samplers import sample as sample_with
from prerelax.errors import UserError
from prerelax.networks import build_network

SCHEDULE = {"kind": "morered", "timesteps": 40}


def sample(
    model: LoadedModel, molecules: list[SamplerInput], keep_trajectory: bool = False, **options: Any
) -> list[SampleResult]:
    return sample_with(model, molecules, SamplerOptions(**options), keep_trajectory=keep_trajectory)


def save(folder: Path, kind: str, **sampler: object) -> None:
    torch.manual_seed(0)
    config = {
        "name": f"morered-{kind}",
        "elements": [1, 6, 7, 8],
        "n_features": 16,
        "bond_graph": kind != "time",
    }
    network = build_network(config)
    for name, parameter in network.named_parameters():
        if name == "time_head.outnet.2.bias":
            torch.nn.init.constant_(parameter, 0.5)  # far from arriving
    save_model(folder, network, {"network": config, "schedule": SCHEDULE, "sampler": sampler}, card="#")


@pytest.fixture
def joint(tmp_path: Path) -> LoadedModel:
    save(tmp_path / "jt", "joint", name="jt", max_iterations=6)
    return load_model(tmp_path / "jt")


@pytest.fixture
def pair(tmp_path: Path) -> LoadedModel:
    save(tmp_path / "pair", "noise", name="as")
    save(tmp_path / "pair" / "time", "time")
    return load_model(tmp_path / "pair")


def molecules() -> list[SamplerInput]:
    made = []
    for seed, n in enumerate((6, 1, 9, 4)):
        rng = np.random.default_rng(seed)
        positions = rng.normal(size=(n, 3)) * 1.5 + 7
        made.append(SamplerInput(f"m{seed}", rng.choice([1, 6, 7, 8], n), positions))
    made.append(SamplerInput("fluoride", np.array([9, 1]), np.eye(2, 3)))
    made.append(SamplerInput("nan", np.array([6, 1]), np.full((2, 3), np.nan)))
    return made


def test_the_model_says_which_sampler_and_how_long(joint: LoadedModel) -> None:
    results = sample(joint, molecules(), device="cpu")
    assert [r.status for r in results[4:]] == ["unsupported_element", "input_error"]
    assert results[1].status == "ok" and results[1].n_calls == 0
    for r in (results[0], results[2], results[3]):
        assert r.status in ("ok", "not_converged") and r.n_calls == len(r.steps_taken or []) <= 6
    joint.config["sampler"]["convergence_step"] = 40
    assert {r.status for r in sample(joint, molecules()[:4], device="cpu")} == {"ok"}
    fewer = sample(joint, molecules(), device="cpu", max_iterations=2)
    assert max(r.n_calls for r in fewer) <= 2


@pytest.mark.parametrize("sampler", ["as", "itp", "ddpm"])
def test_noise_follows_the_id_and_not_the_place_or_the_mates(pair: LoadedModel, sampler: str) -> None:
    inputs = molecules()
    options = {"sampler": sampler, "steps": 5, "device": "cpu", "max_iterations": 5}
    together = sample(pair, inputs, **options)
    reverse = sample(pair, inputs[::-1], **options, batch_size=2)[::-1]
    for a, b in zip(together[:4], reverse[:4], strict=True):
        np.testing.assert_allclose(a.positions, b.positions, rtol=0, atol=1e-4)
        assert a.n_calls == b.n_calls
    other = sample(pair, inputs, **options, seed=1)
    assert np.abs(other[0].positions - together[0].positions).max() > 1e-3


def test_calls_are_counted_with_those_of_the_time_network(pair: LoadedModel) -> None:
    for sampler, expected in (("as", 6), ("itp", 4), ("ddpm", 3)):
        steps = 3 if sampler == "ddpm" else None
        (first, *_) = sample(
            pair, molecules()[:1], sampler=sampler, steps=steps, device="cpu", max_iterations=3
        )
        assert first.n_calls == expected
        assert first.status == ("ok" if sampler == "ddpm" else "not_converged")


def test_the_mean_path_is_the_same_for_every_seed(pair: LoadedModel) -> None:
    options = {"sampler": "ddpm", "steps": 6, "device": "cpu", "noise_free": True}
    a, b = (sample(pair, molecules()[:1], **options, seed=s)[0] for s in (0, 1))
    assert np.array_equal(a.positions, b.positions)


def test_trajectory_runs_from_the_input_to_the_result(joint: LoadedModel) -> None:
    inputs = molecules()[:1]
    (r,) = sample(joint, inputs, device="cpu", keep_trajectory=True)
    assert r.trajectory is not None and len(r.trajectory) == r.n_calls + 1
    np.testing.assert_allclose(r.trajectory[0], inputs[0].positions, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(r.trajectory[-1], r.positions)


def test_samplers_of_the_other_method_are_refused(joint: LoadedModel, pair: LoadedModel) -> None:
    for model, sampler, words in (
        (joint, "edm", "is a MoreRed model; its samplers are jt, as, itp, ddpm"),
        (joint, "as", "noise model"),
        (pair, "jt", "joint model"),
    ):
        with pytest.raises(UserError, match=words):
            sample(model, molecules(), sampler=sampler, device="cpu")
    pair.config["sampler"]["name"] = "nonsense"
    with pytest.raises(UserError, match="unknown sampler 'nonsense'"):
        sample(pair, molecules(), device="cpu")
    with pytest.raises(UserError, match="1…40"):
        sample(pair, molecules(), sampler="ddpm", steps=41, device="cpu")
