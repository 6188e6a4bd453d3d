"""The residual of a denoised geometry: physics of it, and that it is large where the geometry is wrong."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prerelax.denoisers.checkpoint import LoadedModel, load_model
from prerelax.diffusion.confidence import LIMIT_MEDIANS, calibrate, limit_of, residuals_ang
from prerelax.diffusion.evaluation import read_evaluation_set
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.errors import UserError

MODELS = ("edm-qm9-small", "morered-jt-qm9-small", "morered-pair-qm9-small")


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> LoadedModel:
    return load_model(request.param)


def at(molecules: list[SamplerInput], positions: list[np.ndarray]) -> list[SamplerInput]:
    return [replace(m, positions=x) for m, x in zip(molecules, positions, strict=True)]


def test_the_residual_is_of_the_molecule_alone(model: LoadedModel, data_folder: Path) -> None:
    molecules = read_evaluation_set(data_folder / "qm9_small_test.npz", model, 6).inputs
    together = residuals_ang(model, molecules)
    assert together.shape == (6,)
    turn = Rotation.from_euler("xyz", [0.3, 1.0, 2.0]).as_matrix()
    turned = at(molecules, [m.positions @ turn.T + np.array([5.0, -3.0, 100.0]) for m in molecules])
    np.testing.assert_allclose(residuals_ang(model, turned), together, rtol=1e-3, atol=1e-5)
    alone = np.concatenate([residuals_ang(model, [m]) for m in molecules])
    np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-5)


def test_the_residual_falls_as_the_geometry_is_denoised(data_folder: Path) -> None:
    model = load_model("edm-qm9-small")
    molecules = read_evaluation_set(data_folder / "qm9_small_test.npz", model, 20).inputs
    ends = at(molecules, [r.positions for r in sample(model, molecules, SamplerOptions(sampler="few"))])
    assert (residuals_ang(model, ends) < residuals_ang(model, molecules)).mean() > 0.9


def test_the_noise_of_the_papers_sampler_is_not_taken_for_doubt(data_folder: Path) -> None:
    model = load_model("edm-qm9-small")
    molecules = read_evaluation_set(data_folder / "qm9_small_test.npz", model, 60).inputs
    ends = at(molecules, [r.positions for r in sample(model, molecules, SamplerOptions(sampler="few"))])
    by_paper = at(
        molecules, [r.positions for r in sample(model, molecules, SamplerOptions(sampler="edm", steps=20))]
    )
    without = np.median(residuals_ang(model, ends))
    assert np.median(residuals_ang(model, by_paper)) > 1.7 * without
    assert np.median(residuals_ang(model, by_paper, noisy=True)) < 1.4 * without


def test_the_residual_grows_with_the_error_of_the_geometry(model: LoadedModel, data_folder: Path) -> None:
    test = read_evaluation_set(data_folder / "qm9_small_test.npz", model, 10)
    generator = np.random.default_rng(0)
    noise = [generator.normal(size=x.shape) for x in test.references]
    medians = [
        np.median(
            residuals_ang(
                model,
                at(test.inputs, [x + size * n for x, n in zip(test.references, noise, strict=True)]),
            )
        )
        for size in (0.0, 0.02, 0.05)
    ]
    assert medians[0] < medians[1] < medians[2]


def test_a_single_atom_has_no_residual(model: LoadedModel) -> None:
    atom = SamplerInput("a", np.array([8]), np.zeros((1, 3)))
    water = SamplerInput(
        "w", np.array([8, 1, 1]), np.array([[0.0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]])
    )
    found = residuals_ang(model, [atom, water])
    assert np.isnan(found[0]) and found[1] > 0


def test_calibration_writes_the_limit_into_the_model(
    tmp_path: Path, data_folder: Path, repository: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(repository / "models/edm-qm9-small", folder)
    before = load_model(folder)
    part = calibrate(folder, data_folder / "qm9_small_test.npz", limit=110)
    after = load_model(folder)
    assert limit_of(after).limit_ang(100) == part["limit_ang"]
    assert limit_of(after).limit_ang(3) == pytest.approx(part["limit_ang"] * part["median_atoms"] / 3)
    assert part["limit_ang"] == pytest.approx(LIMIT_MEDIANS * part["median_ang"], abs=2e-5)
    assert limit_of(after).reference_model is after
    assert part["median_ang"] < part["quantile_99_ang"] and part["n_molecules"] == 110
    rest = {name: value for name, value in after.config.items() if name != "confidence"}
    assert rest == {name: value for name, value in before.config.items() if name != "confidence"}
    with pytest.raises(UserError, match="too few"):
        calibrate(folder, data_folder / "qm9_small_test.npz", limit=20)


def test_another_model_may_be_the_reference(tmp_path: Path, data_folder: Path, repository: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(repository / "models/morered-jt-qm9-small", folder)
    data = data_folder / "qm9_small_test.npz"
    own = calibrate(folder, data, limit=100)
    judged = calibrate(folder, data, limit=100, reference_model="edm-qm9-small")
    assert judged["judge"] == "edm-qm9-small" and judged["median_ang"] != own["median_ang"]
    assert limit_of(load_model(folder)).reference_model.name == "edm-qm9-small"
    assert calibrate(folder, data, limit=100) == judged  # the config names it now
    assert "energy_factor" not in judged  # nothing is left to change where MoreRed's samplers end


def test_elements_that_the_reference_model_does_not_know_have_no_residual() -> None:
    model = load_model("edm-qm9-small")
    fluorine = SamplerInput("f", np.array([9, 9]), np.array([[0.0, 0, 0], [0, 0, 1.4]]))
    assert np.isnan(residuals_ang(model, [fluorine])).all()


def test_a_model_without_calibration_has_no_limit() -> None:
    model = load_model("edm-qm9-small")
    assert limit_of(replace(model, config={})).limit_ang(9) is None
    assert limit_of(replace(model, config={"confidence": {"limit_ang": 0.02}})).limit_ang(9) == 0.02
