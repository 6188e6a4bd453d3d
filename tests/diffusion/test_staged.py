"""Denoisers in stages: joined from models, sampled one call each, refused where they cannot be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from prerelax.datasets.structures import collect, read_npz, write_npz
from prerelax.denoisers.checkpoint import load_model, save_model
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.diffusion.staged import denoise_starts, join_stages
from prerelax.errors import UserError
from prerelax.networks import build_network

SCHEDULE = {"kind": "polynomial", "timesteps": 1000, "precision": 1.0e-5}
NETWORK = {"name": "morered-noise", "elements": [1, 6, 8], "n_features": 8, "n_interactions": 2}
METHANOL = np.array([6, 8, 1, 1, 1, 1])
GEOMETRY = np.array(
    [[-0.7, 0, 0], [0.7, 0.1, 0], [-1.1, 1, 0], [-1.1, -0.5, 0.9], [-1.1, -0.5, -0.9], [1.0, -0.8, 0]]
)


@pytest.fixture
def stages(tmp_path: Path) -> list[Path]:
    """Two models with different weights, called at steps 50 and 12."""
    folders = []
    for seed, step in enumerate((50, 12)):
        torch.manual_seed(seed)
        config: dict[str, Any] = {
            "network": NETWORK,
            "schedule": SCHEDULE,
            "sampler": {"name": "few", "steps": step, "calls": 1},
        }
        network = build_network(NETWORK)
        with torch.no_grad():  # fresh weights predict next to nothing
            for parameter in network.parameters():
                parameter.mul_(1.4)
        save_model(tmp_path / f"stage{seed}", network, config)
        folders.append(tmp_path / f"stage{seed}")
    return folders


def denoised(model: Path, positions: np.ndarray, **options: Any) -> np.ndarray:
    (result,) = sample(load_model(model), [SamplerInput("a", METHANOL, positions)], SamplerOptions(**options))
    assert result.status == "ok", result.message
    return result.positions


def test_a_joined_model_calls_each_stage_once(stages: list[Path], tmp_path: Path) -> None:
    join_stages(stages, tmp_path / "joined")
    one_by_one = denoised(stages[1], denoised(stages[0], GEOMETRY))
    together = denoised(tmp_path / "joined", GEOMETRY)
    assert np.abs(one_by_one - GEOMETRY).max() > 1e-3
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)


def test_it_makes_no_other_calls(stages: list[Path], tmp_path: Path) -> None:
    join_stages(stages, tmp_path / "joined")
    for options in ({"calls": 3}, {"steps": 20}, {"sampler": "edm"}):
        with pytest.raises(UserError, match="makes its 2 calls from step 50"):
            denoised(tmp_path / "joined", GEOMETRY, **options)


def test_only_models_of_one_kind_are_joined(stages: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least two stages"):
        join_stages(stages[:1], tmp_path / "joined")
    config = yaml.safe_load((stages[1] / "config.yaml").read_text())
    other = {**config, "sampler": {"name": "edm"}}
    save_model(tmp_path / "other", load_model(stages[1]).network, other)
    with pytest.raises(UserError, match="no step at which it is called once"):
        join_stages([stages[0], tmp_path / "other"], tmp_path / "joined")
    larger = {**config, "network": {**NETWORK, "n_features": 16}}
    save_model(tmp_path / "larger", build_network(larger["network"]), larger)
    with pytest.raises(UserError, match="another network"):
        join_stages([stages[0], tmp_path / "larger"], tmp_path / "joined")


def test_the_next_stage_is_trained_on_what_the_model_leaves(stages: list[Path], tmp_path: Path) -> None:
    minima = collect([(1, METHANOL, GEOMETRY), (2, np.array([7, 1, 1, 1]), GEOMETRY[:4])])
    with pytest.raises(UserError, match="add-starts"):
        write_npz(tmp_path / "bare.npz", minima)
        denoise_starts(stages[0], tmp_path / "bare.npz", tmp_path / "out.npz")
    moved = (minima.positions + 0.02 * np.random.default_rng(0).normal(size=(10, 3))).astype(np.float32)
    write_npz(tmp_path / "in.npz", replace(minima, positions_start=moved))
    # The model does not know nitrogen.
    assert denoise_starts(stages[0], tmp_path / "in.npz", tmp_path / "out.npz") == (1, 1)
    after = read_npz(tmp_path / "out.npz")
    assert after.positions_start is not None and after.ids.tolist() == [1]
    np.testing.assert_array_equal(after.positions, minima.positions[:6])
    np.testing.assert_allclose(after.positions_start, denoised(stages[0], moved[:6]), atol=1e-5)


def test_a_network_that_throws_atoms_away_is_not_ok(stages: list[Path]) -> None:
    model = load_model(stages[0])
    with torch.no_grad():
        model.network.noise_head.outnet[-1].mix_vectors.weight[1].mul_(1e6)
    (result,) = sample(model, [SamplerInput("a", METHANOL, GEOMETRY)])
    assert result.status == "unknown_error" and "moves an atom" in result.message
    np.testing.assert_array_equal(result.positions, GEOMETRY)
