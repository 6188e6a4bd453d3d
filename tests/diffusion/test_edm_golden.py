"""EDM against numbers from the original code; sizes, steps and counts are read from the arrays."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from prerelax.denoisers.checkpoint import LoadedModel, load_model
from prerelax.denoisers.import_edm import import_edm
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion import edm
from prerelax.diffusion.options import SamplerOptions
from prerelax.diffusion.samplers import SamplerInput, sample
from prerelax.networks.batch import make_batch

NETWORK_TOLERANCE = 1e-5
GEOMETRY_TOLERANCE_ANG = 1e-4


class Golden:
    """A golden file and the model it was made with."""

    def __init__(self, arrays: dict[str, NDArray[Any]], model: LoadedModel) -> None:
        self.arrays = arrays
        self.model = model
        self.n_steps = int(arrays["n"])
        self.timesteps = int(arrays["T"])
        self.molecules = sorted({name.split("/")[0] for name in arrays if name.startswith("mol")})

    def of_all(self, name: str) -> list[NDArray[Any]]:
        return [self.arrays[f"{molecule}/{name}"] for molecule in self.molecules]

    @property
    def network_steps(self) -> list[int]:
        first = f"{self.molecules[0]}/eps_t"
        return sorted(int(name.removeprefix(first)) for name in self.arrays if name.startswith(first))


class RecordedNoise:
    """The noise of the original run, molecule by molecule, in order of use."""

    def __init__(self, golden: Golden) -> None:
        self.position_noise = [list(noise) for noise in golden.of_all("noise_x")]
        self.feature_noise = [list(noise) for noise in golden.of_all("noise_h")]

    def positions(self, rows: Sequence[int], n_atoms: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.concatenate([self.position_noise[row].pop(0) for row in rows]))

    def features(self, rows: Sequence[int], n_atoms: Sequence[int], width: int) -> Tensor:
        return torch.from_numpy(np.concatenate([self.feature_noise[row].pop(0) for row in rows]))


def _golden(arrays_path: Path, weights: Path, folder: Path) -> Golden:
    if not (arrays_path.is_file() and weights.is_file()):
        pytest.skip(f"{arrays_path} or {weights} is absent: reference data is not part of the project")
    import_edm(weights, None, folder)
    with np.load(arrays_path) as arrays:
        return Golden(dict(arrays), load_model(folder))


@pytest.fixture(scope="module")
def random_golden(golden_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """Random weights, read in the original's own format."""
    return _golden(
        golden_folder / "edm.npz", golden_folder / "edm_state.npy", tmp_path_factory.mktemp("edm") / "random"
    )


@pytest.fixture(scope="module")
def public_golden(golden_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """Real weights of a public EDM."""
    weights = sorted(data_folder.glob("edm_qm9_public_*.npz"))
    path = weights[0] if weights else data_folder / "edm_qm9_public.npz"
    return _golden(golden_folder / "edm_public_weights.npz", path, tmp_path_factory.mktemp("edm") / "public")


@pytest.fixture(params=["random_golden", "public_golden"])
def golden(request: pytest.FixtureRequest) -> Golden:
    found: Golden = request.getfixturevalue(request.param)
    return found


def test_golden_schedule_is_the_polynomial_one(golden: Golden) -> None:
    ours = NoiseSchedule.polynomial(golden.timesteps).gamma.numpy()
    # The public weights carry a table that was computed in single precision.
    np.testing.assert_allclose(ours, golden.arrays["gamma"], atol=1e-4)
    np.testing.assert_array_equal(golden.model.schedule.gamma.numpy(), golden.arrays["gamma"])


def test_golden_schedule_of_the_papers_is_exact(random_golden: Golden) -> None:
    ours = NoiseSchedule.polynomial(random_golden.timesteps).gamma.numpy()
    np.testing.assert_array_equal(ours, random_golden.arrays["gamma"])


def test_golden_network_output(golden: Golden) -> None:
    """Ours in double precision: in single, the processor's rounding would decide.

    The original's is in single: it may be off by what the last digit of its coordinates changes.
    """
    network = deepcopy(golden.model.network).double()
    batch = make_batch(golden.of_all("numbers"), golden.of_all("positions"))
    features: Tensor = network.atom_features(batch.numbers)  # type: ignore[operator]
    next_digit = torch.nextafter(batch.positions, torch.full_like(batch.positions, torch.inf))
    exact, moved = (
        batch.with_positions(positions.double(), features.double())
        for positions in (batch.positions, next_digit)
    )
    for step in golden.network_steps:
        time = torch.full((batch.n_molecules,), step / golden.timesteps, dtype=torch.float64)
        with torch.no_grad():
            ours, by_digit = network(exact, time).numpy(), network(moved, time).numpy()
        theirs = np.concatenate(golden.of_all(f"eps_t{step}"))
        limit = NETWORK_TOLERANCE * np.abs(theirs).max() + np.abs(by_digit - ours).max()
        assert np.abs(ours - theirs).max() <= limit


def test_golden_chain_end_to_end(public_golden: Golden) -> None:
    inputs = [
        SamplerInput(molecule, numbers, positions)
        for molecule, numbers, positions in zip(
            public_golden.molecules,
            public_golden.of_all("numbers"),
            public_golden.of_all("positions"),
            strict=True,
        )
    ]
    results = sample(
        public_golden.model,
        inputs,
        SamplerOptions(sampler="edm", steps=public_golden.n_steps),
        keep_trajectory=True,
        noise=RecordedNoise(public_golden),
    )
    for result, final, chain in zip(
        results, public_golden.of_all("final_x"), public_golden.of_all("chain"), strict=True
    ):
        assert result.n_calls == public_golden.n_steps + 1
        assert np.abs(result.positions - final).max() < GEOMETRY_TOLERANCE_ANG
        assert result.trajectory is not None
        ours = np.stack(result.trajectory[1:])  # after step n - 1, …, after step 0, final
        theirs = np.concatenate([chain[:0:-1, :, :3], chain[:1, :, :3]])
        assert np.abs(ours - theirs).max() < GEOMETRY_TOLERANCE_ANG


def test_golden_chain_step_by_step(golden: Golden) -> None:
    """Every step from the original's own state, for random weights make the chain as a whole diverge."""
    network, schedule, n = golden.model.network, golden.model.schedule, golden.n_steps
    scale = torch.tensor([4.0] * len(golden.model.elements) + [10.0])
    noise = RecordedNoise(golden)
    batch = make_batch(golden.of_all("numbers"), golden.of_all("positions"))
    rows = list(range(batch.n_molecules))
    chains = [torch.from_numpy(chain) for chain in golden.of_all("chain")]
    state = edm.State.at_geometry(network, batch)
    with torch.no_grad():
        for step in range(n, 0, -1):
            if step < n:  # chain[step + 1] is the state at `step`, un-normalised
                recorded = torch.cat([chain[step + 1] for chain in chains])
                state = edm.State(batch, recorded[:, :3], recorded[:, 3:] / scale)
            ours = edm.ancestral_step(network, schedule, state, step, noise, rows, edm.AS_PUBLISHED)
            theirs = torch.cat([chain[step] for chain in chains])
            assert ours.features is not None
            size = max(1.0, float(theirs[:, :3].abs().max()))
            assert float((ours.positions - theirs[:, :3]).abs().max()) < GEOMETRY_TOLERANCE_ANG * size
            features = theirs[:, 3:] / scale
            limit = 1e-4 * max(1.0, float(features.abs().max()))
            assert float((ours.features - features).abs().max()) < limit
        recorded = torch.cat([chain[1] for chain in chains])
        state = edm.State(batch, recorded[:, :3], recorded[:, 3:] / scale)
        final = edm.sample_data(network, schedule, state, noise, rows, edm.AS_PUBLISHED)
    theirs = torch.from_numpy(np.concatenate(golden.of_all("final_x")))
    size = max(1.0, float(theirs.abs().max()))
    assert float((final - theirs).abs().max()) < GEOMETRY_TOLERANCE_ANG * size
