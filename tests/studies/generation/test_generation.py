"""Generation from noise: the chain ends where the denoiser points, whatever the batch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from prerelax.denoisers.checkpoint import LoadedModel, load_model
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.errors import UserError
from prerelax.networks.batch import Batch
from prerelax.networks.egnn import EGNN, EGNNOptions
from prerelax.networks.network import Network
from prerelax.studies.generation.chains import Chains, read_chains, write_chains
from prerelax.studies.generation.figures import phases as draw
from prerelax.studies.generation.figures import samples
from prerelax.studies.generation.phases import _null_elements, phases, summarise_phases
from prerelax.studies.generation.run import draw_sizes, generate

FORMALDEHYDE = (
    np.array([6, 8, 1, 1]),
    np.array([[0.0, 0.0, -0.53], [0.0, 0.0, 0.68], [0.0, 0.94, -1.11], [0.0, -0.94, -1.11]]),
)


class KnowsOneMolecule(Network):
    """The exact denoiser of a data set of one molecule that never turns."""

    types = "diffused"
    elements = (1, 6, 8)
    n_types = 3

    def __init__(self, schedule: NoiseSchedule) -> None:
        super().__init__()
        numbers, positions = FORMALDEHYDE
        one_hot = np.array([[z == e for e in self.elements] for z in numbers]) / 4
        clean = np.concatenate([positions - positions.mean(axis=0), one_hot], axis=1)
        self.clean, self.schedule = torch.tensor(clean, dtype=torch.float32), schedule

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        step = (time * self.schedule.timesteps).round().long()
        alpha = self.schedule.alpha[step][batch.molecule_index, None]
        sigma = self.schedule.sigma[step][batch.molecule_index, None]
        noised = torch.cat([batch.positions, batch.features], dim=1)
        return (noised - alpha * self.clean.repeat(batch.n_molecules, 1)) / sigma


def exact_model(timesteps: int) -> LoadedModel:
    schedule = NoiseSchedule.polynomial(timesteps)
    return LoadedModel("exact", KnowsOneMolecule(schedule), schedule, KnowsOneMolecule.elements)


def test_an_exact_denoiser_generates_what_it_knows(tmp_path: Path) -> None:
    chains = generate(exact_model(200), [4, 4, 4], seed=1, device="cpu")
    assert chains.positions.shape == (202, 12, 3)
    assert chains.numbers.shape == (202, 12)
    numbers, positions = FORMALDEHYDE
    for path, elements in chains:
        assert elements[-1].tolist() == numbers.tolist()
        np.testing.assert_allclose(path[-1], positions - positions.mean(axis=0), atol=0.02)
        assert np.linalg.norm(path[0]) > 1
    write_chains(tmp_path / "chain.npz", chains)
    found = phases(read_chains(tmp_path / "chain.npz"))
    assert found.valid_molecules == 1
    assert found.table["settled_element_molecules"].iloc[-1] == 1
    assert found.table["settled_element_molecules"].is_monotonic_increasing
    assert 0 < np.median(found.settled_step) < 190
    assert found.table["bond_error_ang"].iloc[0] > 0.3
    numbers_beside = summarise_phases(found, 200).set_index("quantity")
    assert numbers_beside.loc["molecules", "ours"] == 3
    figure, table = samples(chains)
    assert list(table["formula"]) == ["CH2O"] * 3 and (table["allowed_atoms"] == 1).all()
    assert [axes.texts[-1].get_text() for axes in figure.axes] == ["CH2O"] * 3


def test_a_molecule_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    network = EGNN(EGNNOptions([1, 6, 8], n_layers=1, n_features=8)).eval()
    model = LoadedModel("random", network, NoiseSchedule.polynomial(10), (1, 6, 8))
    sizes = [5, 3, 4]
    together, alone = generate(model, sizes, 7, 3, "cpu"), generate(model, sizes, 7, 1, "cpu")
    np.testing.assert_allclose(together.positions, alone.positions, atol=1e-4)
    np.testing.assert_array_equal(together.n_atoms, sizes)
    other = generate(model, sizes, 8, 3, "cpu")
    assert np.abs(other.positions[0] - together.positions[0]).max() > 0.1


def test_models_that_cannot_generate_say_why() -> None:
    with pytest.raises(UserError, match="relaxes known molecules"):
        generate(load_model("edm-qm9-small"), [4])
    options: dict[str, Any] = {"training": {"config": {"loss": {"max_step": 100}}}}
    model = exact_model(200)
    with pytest.raises(UserError, match="up to 100 alone"):
        generate(LoadedModel("tail", model.network, model.schedule, model.elements, options), [4])
    with pytest.raises(UserError, match="at least 2 atoms"):
        generate(model, [1])


def test_chains_that_blow_up_are_counted() -> None:
    chains = generate(exact_model(20), [4, 4], seed=0, device="cpu")
    chains.positions[10:, :4] = np.nan
    assert phases(chains).blown_up == 1
    pictures, table = samples(chains)
    assert pictures.axes[0].texts[0].get_text() == "blew up" and table["allowed_atoms"][0] == 0
    chains.positions[-1, 4:] *= 1e3
    nothing = phases(chains)
    assert nothing.blown_up == 2
    assert summarise_phases(nothing, 20).set_index("quantity")["ours"]["chains that blew up"] == 2
    figure, _ = draw(nothing, "exact", 20)
    assert "all 2 chains blew up" in figure.axes[0].texts[0].get_text()


def test_sizes_are_those_of_the_set(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", n_atoms=[1, 5, 5, 9])
    sizes = draw_sizes(tmp_path / "set.npz", 200, 0)
    assert set(sizes) == {5, 9}
    assert 100 < sizes.count(5) < 167
    with pytest.raises(UserError, match="no such file"):
        draw_sizes(tmp_path / "missing.npz", 1, 0)


def test_the_schedule_alone_settles_elements() -> None:
    """The null of figure 2: known elements are final when the noise no longer hides them."""
    sigma = np.linspace(0.01, 0.99, 101)
    numbers = np.tile(np.array([1, 6, 7, 8], dtype=np.uint8), (102, 10))
    chains = Chains(np.full(10, 4), np.zeros((102, 40, 3), np.float32), numbers, sigma)
    found = _null_elements(chains)
    for shares in found.values():
        assert len(shares) == 102 and shares[-1] == 1 and (np.diff(shares) >= 0).all()
    assert found["null_element_atoms"][0] < 0.5 < found["null_element_atoms"][-10]
    assert (found["null_element_molecules"] <= found["null_element_atoms"]).all()
