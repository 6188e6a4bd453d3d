"""The energy that a denoised start is expected to lie above its minimum."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from prerelax.denoisers.checkpoint import load_model
from prerelax.diffusion.energy_left import (
    ANGLE_EV_ANG2,
    BOND_EV_ANG2,
    energies_left_kcal_mol,
    energy_calibration,
    spring_energies,
)
from prerelax.diffusion.evaluation import read_evaluation_set
from prerelax.diffusion.one_more_call import changes_by_one_more_call, changes_of_distances
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample

WATER = np.array([[0.0, 0, 0], [0.96, 0, 0], [0, 0.96, 0]])
HOPS = np.array([[0, 1, 1], [1, 0, 2], [1, 2, 0]], dtype=np.uint8)


def test_every_bond_and_1_3_distance_has_a_spring() -> None:
    (found,) = spring_energies([changes_of_distances(HOPS, WATER, 1.01 * WATER)])
    bonds, angle = 2 * (0.0096**2) * BOND_EV_ANG2 / 2, 2 * 0.0096**2 * ANGLE_EV_ANG2 / 2
    assert found == pytest.approx((bonds + angle) * 23.0605, rel=1e-4)


def test_a_molecule_that_turns_has_no_energy() -> None:
    (found,) = spring_energies([changes_of_distances(HOPS, WATER, WATER[:, ::-1] + 3.0)])
    assert found == pytest.approx(0.0, abs=1e-20)
    assert np.isnan(spring_energies([(np.zeros(0), np.zeros(0))])).all()


def test_the_energy_left_ranks_denoised_starts(data_folder: Path) -> None:
    model = load_model("relaxer-qm9")
    test = read_evaluation_set(data_folder / "qm9_val.npz", model, 200, spread=True)
    results = sample(model, test.inputs, SamplerOptions())
    ends = [replace(each, positions=r.positions) for each, r in zip(test.inputs, results, strict=True)]
    changes = changes_by_one_more_call(model, ends)
    expected = energies_left_kcal_mol(model, changes)
    true = spring_energies(
        [
            changes_of_distances(each.topological_distance, each.positions, reference)
            for each, reference in zip(ends, test.references, strict=True)
        ]
    )
    assert spearmanr(expected, true).statistic > 0.5
    assert 0.6 < np.median(expected) / np.median(true) < 1.6
    factor = model.config["confidence"]["energy_factor"]
    found = energy_calibration(model, ends, test.references, changes)
    assert found["energy_factor"] == pytest.approx(factor, rel=0.3)


def test_a_model_without_calibration_expects_nothing() -> None:
    model = load_model("relaxer-qm9")
    water, atom = (SamplerInput("", np.array([8, 1, 1])[:n], WATER[:n]) for n in (3, 1))
    changes = changes_by_one_more_call(model, [water, atom])
    assert np.isfinite(energies_left_kcal_mol(model, changes)).tolist() == [True, False]
    assert np.isnan(energies_left_kcal_mol(replace(model, config={}), changes)).all()
