"""The figures of a model card against what can be worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from prerelax.datasets.structures import Structures, collect, write_npz
from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion.evaluation import card_table, compare, evaluate_model
from prerelax.diffusion.options import SamplerOptions
from prerelax.errors import UserError
from prerelax.networks.batch import Batch
from prerelax.networks.network import Network

WATER = (np.array([8, 1, 1]), np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]))


FIVE_STEPS = SamplerOptions(steps=5, noise_free=True)


class _DoesNothing(Network):
    types = "fixed"

    elements = (1, 8)

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        return torch.zeros_like(batch.positions)


def test_errors_are_of_bonds_and_of_pairs_two_bonds_apart() -> None:
    numbers, reference = WATER
    stretched = reference.copy()
    stretched[1, 0] += 0.02
    comparison = compare([numbers], [reference], [stretched])
    assert comparison.bond_mae_ang == pytest.approx(0.01)
    angle = np.linalg.norm(stretched[1] - stretched[2]) - np.linalg.norm(reference[1] - reference[2])
    assert comparison.angle_mae_ang == pytest.approx(abs(angle))


def _set(path: Path) -> Path:
    numbers, positions = WATER
    fluoride = (np.array([9, 1]), np.array([[0.0, 0, 0], [0.92, 0, 0]]))
    water = collect([(7, numbers, positions), (8, *fluoride), (9, numbers, positions + 1.0)])
    start = (water.positions * 1.01).astype(np.float32)
    write_npz(path, Structures(water.ids, water.n_atoms, water.numbers, water.positions, start))
    return path


def test_evaluation_counts_what_the_model_does_not_know(tmp_path: Path) -> None:
    data = _set(tmp_path / "set.npz")
    model = LoadedModel("idle", _DoesNothing(), NoiseSchedule.polynomial(), (1, 8))
    figures = evaluate_model(model, data, SamplerOptions(sampler="few", steps=5, calls=3))
    assert (figures["n"], figures["n_unsupported"], figures["n_failed"]) == (2, 1, 0)
    # No predicted noise: the sampler divides by alpha, which is nearly 1 at step 5.
    for key in ("bond_mae_ang", "angle_mae_ang", "rmsd_median_ang"):
        assert figures[key] == pytest.approx(figures[f"{key}_start"], rel=1e-2)
    assert figures["bond_mae_ang_start"] == pytest.approx(0.0096, rel=1e-3)
    assert figures["molecules_per_s"] > 0
    assert evaluate_model(model, data, FIVE_STEPS, limit=1)["n"] == 1
    assert "few calls from n = 5" in card_table([figures])


def test_sets_that_cannot_be_evaluated_are_named(tmp_path: Path) -> None:
    model = LoadedModel("idle", _DoesNothing(), NoiseSchedule.polynomial(), (6,))
    with pytest.raises(UserError, match="no molecule made only of elements"):
        evaluate_model(model, _set(tmp_path / "set.npz"), FIVE_STEPS)
    numbers, positions = WATER
    write_npz(tmp_path / "minima.npz", collect([(1, numbers, positions)]))
    with pytest.raises(UserError, match="no start geometries"):
        evaluate_model(model, tmp_path / "minima.npz", FIVE_STEPS)
    with pytest.raises(UserError, match="cannot be evaluated"):
        evaluate_model(model, tmp_path / "absent.npz", FIVE_STEPS)
