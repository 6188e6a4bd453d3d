"""Molecules of given elements from noise, and the time steps seen on the way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from prerelax.datasets.structures import Structures, collect
from prerelax.denoisers.checkpoint import LoadedModel, load_model
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.diffusion.morered import Molecule
from prerelax.errors import UserError
from prerelax.networks.batch import Batch, centred, molecule_sums
from prerelax.networks.morered import JointNetwork, MoreRedOptions, NoiseNetwork
from prerelax.studies.from_noise.analysis import judge
from prerelax.studies.from_noise.config import Sampling
from prerelax.studies.from_noise.figures import generated_pictures, generated_shares, generation_limits
from prerelax.studies.from_noise.run import check_generates, draw_compositions, sample_from_noise
from prerelax.studies.from_noise.samples import read_samples, write_samples
from prerelax.studies.known_structures import known_structures
from prerelax.studies.schedules.run import (
    compare_schedules,
    predicted_steps,
    shells,
    summarise_schedules,
    summarise_shells,
)

FORMALDEHYDE = (
    np.array([6, 8, 1, 1]),
    np.array([[0.0, 0.0, -0.53], [0.0, 0.0, 0.68], [0.0, 0.94, -1.11], [0.0, -0.94, -1.11]]),
)
SCHEDULE = MoreRedSchedule.polynomial(100)


class KnowsFormaldehyde(JointNetwork):
    """The exact denoiser of a data set of one molecule that never turns; its step is the likeliest."""

    def __init__(self) -> None:
        super().__init__(MoreRedOptions(elements=(1, 6, 8), n_features=8))
        positions = torch.tensor(FORMALDEHYDE[1] - FORMALDEHYDE[1].mean(axis=0))
        self.clean = positions

    def noise_and_atom_times(self, batch: Batch) -> tuple[Tensor, Tensor]:
        clean = self.clean.repeat(batch.n_molecules, 1)
        given = centred(batch.positions.double(), batch)
        freedoms = 3.0 * (batch.n_atoms - 1)
        likelihood = []
        for step in range(SCHEDULE.timesteps):
            noise = given - SCHEDULE.alpha[step] * clean
            squares = molecule_sums(noise.square().sum(dim=1), batch) / SCHEDULE.sigma[step] ** 2
            likelihood.append(-0.5 * squares - freedoms * torch.log(SCHEDULE.sigma[step]))
        step = torch.stack(likelihood).argmax(dim=0)
        of_atoms = step[batch.molecule_index]
        noise = (given - SCHEDULE.alpha[of_atoms, None] * clean) / SCHEDULE.sigma[of_atoms, None]
        return noise.float(), SCHEDULE.time(of_atoms)


def exact_model() -> LoadedModel:
    return LoadedModel("exact", KnowsFormaldehyde().eval(), SCHEDULE, (1, 6, 8))


def untrained(kind: Any = JointNetwork, **options: Any) -> LoadedModel:
    torch.manual_seed(0)
    network = kind(MoreRedOptions(n_features=8, **options)).eval()
    return LoadedModel("untrained", network, SCHEDULE, network.elements)


@pytest.mark.parametrize("sampler", ["ddpm", "itp", "jt"])
def test_an_exact_network_makes_the_molecule_it_knows(sampler: str, tmp_path: Path) -> None:
    made = sample_from_noise(
        exact_model(),
        dict.fromkeys("abcde", FORMALDEHYDE[0]),
        Sampling(sampler=sampler, limits=[1, 10_000]),
        device="cpu",
    )
    write_samples(tmp_path / "made.npz", made)
    made = read_samples(tmp_path / "made.npz")
    judged = judge(made)
    made_it = (judged[judged["limit"] != 1]["table_smiles"] == "C=O").mean()
    assert made_it == 1 or (sampler == "itp" and made_it > 0.5)  # whose first guess may be a few steps short
    assert judged[judged["limit"] == 1]["table_smiles"].isna().all()
    assert set(made.status) == {"ok"}
    np.testing.assert_array_equal(made.positions_at_limits[1], made.positions)
    if sampler == "ddpm":
        assert made.iterations.tolist() == [100] * 5
        assert made.steps_of()[0].tolist() == list(range(99, -1, -1))


def test_shards_are_the_whole_in_parts() -> None:
    model = untrained()
    compositions = {
        "0": np.array([6, 1, 1, 8]),
        "1": np.array([7, 1, 1]),
        "2": np.array([8, 6, 6, 1, 1]),
    }
    sampling = Sampling(max_iterations=7, limits=[3])
    whole = sample_from_noise(model, compositions, sampling, device="cpu")
    last = sample_from_noise(model, {"2": compositions["2"]}, sampling, device="cpu")
    np.testing.assert_allclose(whole.positions[-5:], last.positions, atol=1e-4)
    np.testing.assert_allclose(whole.positions_at_limits[:, -5:], last.positions_at_limits, atol=1e-4)
    other = sample_from_noise(model, compositions, Sampling(max_iterations=7, seed=1), device="cpu")
    assert not np.allclose(whole.positions, other.positions)
    assert other.positions_at_limits.shape == (0, 12, 3)


class Explodes(JointNetwork):
    """Predicts NaN for molecules of five atoms, and monstrous noise for molecules of three."""

    def noise_and_atom_times(self, batch: Batch) -> tuple[Tensor, Tensor]:
        noise, times = super().noise_and_atom_times(batch)
        size = batch.n_atoms[batch.molecule_index]
        noise = noise.masked_fill((size == 5)[:, None], float("nan"))
        return torch.where((size == 3)[:, None], noise * 1e12, noise), times


@pytest.mark.parametrize("sampler", ["ddpm", "jt"])
def test_what_explodes_is_not_valid_and_stops_nobody(sampler: str) -> None:
    compositions = {
        "a": np.array([6, 1, 1, 1, 1]),
        "b": np.array([8, 1, 1]),
        "c": np.array([6, 8, 1, 1]),
    }
    sampling = Sampling(sampler=sampler, max_iterations=20, limits=[5])
    made = sample_from_noise(untrained(Explodes), compositions, sampling, device="cpu")
    assert made.status[0] == "unknown_error" and made.status[2] != "unknown_error"
    assert np.isfinite(made.positions[:5]).all()
    judged = judge(made)
    assert judged["table_smiles"].isna().all()
    figure, _ = generated_pictures(made, judged, 3, "r")
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any("blew up" in text or "far apart" in text for text in words)


def test_compositions_are_drawn_evenly_and_by_seed(data_folder: Path) -> None:
    model = untrained()
    known = known_structures(data_folder / "qm9_val.npz", model)
    assert not np.isin(known.numbers, [9]).any() and len(known) < 2000
    drawn = draw_compositions(known, len(known) + 7, seed=3)
    sizes = sorted(len(z) for z in drawn[: len(known)])
    assert sizes == sorted(known.n_atoms.tolist())
    again = draw_compositions(known, 5, seed=3)
    assert all((a == b).all() for a, b in zip(drawn, again, strict=False))


def test_what_cannot_generate_is_refused_in_a_sentence(tmp_path: Path, data_folder: Path) -> None:
    with pytest.raises(UserError, match="bond graph"):
        check_generates(load_model("morered-jt-qm9-small"))
    with pytest.raises(UserError, match="not a MoreRed model"):
        check_generates(load_model("edm-qm9-small"))
    last_steps = untrained()
    last_steps.config["training"] = {"config": {"loss": {"max_step": 50}}}
    with pytest.raises(UserError, match="steps up to 50 of 100 alone"):
        check_generates(last_steps)
    fluorine = untrained(elements=(9,))
    with pytest.raises(UserError, match=r"no molecule of the atomic numbers \[9\] alone"):
        known_structures(data_folder / "qm9_small_test.npz", fluorine)
    (tmp_path / "text.npz").write_text("nothing")
    for wrong in ("text.npz", "absent.npz"):
        with pytest.raises(UserError, match=wrong):
            known_structures(tmp_path / wrong, fluorine)
        with pytest.raises(UserError, match=wrong):
            read_samples(tmp_path / wrong)
    with pytest.raises(UserError, match="needs a joint model"):
        sample_from_noise(untrained(NoiseNetwork), {"a": np.array([6, 1])}, Sampling(), device="cpu")


def minima(n: int) -> Structures:
    return collect([(i, *FORMALDEHYDE) for i in range(n)])


def test_an_exact_network_sees_the_step_of_the_noise() -> None:
    table = shells(exact_model(), minima(40), 40, 12, seed=1)
    assert len(table) == 480 and set(table["dimension"]) == {9}
    relative = table["radius_ang"] / table["sigma_ang"] / 3.0
    assert relative.pow(2).mean() == pytest.approx(1.0, abs=0.1)  # centring takes three of twelve dimensions
    numbers = summarise_shells(table).set_index("quantity")["ours"]
    assert numbers["Pearson r of predicted and true step"] > 0.9  # in nine dimensions
    with pytest.raises(UserError, match="predicts no time step"):
        predicted_steps(untrained(NoiseNetwork), [Molecule(*FORMALDEHYDE)])


def test_both_schedules_bring_noised_minima_back() -> None:
    along, ends = compare_schedules(exact_model(), minima(4), 4, [20, 60], max_iterations=300)
    assert len(ends) == 16 and set(ends["status"]) == {"ok"}
    numbers = summarise_schedules(ends).set_index(["start", "schedule"])
    assert (numbers["failures_percent"] == 0).all()
    after = numbers["rmsd_after_ang_median"].unstack()
    assert (after["adaptive"] < 1e-3).all() and (after["fixed"] < 0.1).all()  # a guess a few steps short
    before = numbers["rmsd_before_ang_median"].unstack()
    assert (before["fixed"] == before["adaptive"]).all()
    assert before["fixed"]["noised to step 60"] > before["fixed"]["noised to step 20"]
    fixed = along[along["schedule"] == "fixed"].groupby(["start", "id"])["step"]
    assert all((np.diff(steps) == -1).all() for _, steps in fixed)
    adaptive = along[along["schedule"] == "adaptive"]
    assert (adaptive["step"] == adaptive["predicted"]).all()
    with pytest.raises(UserError, match="not a joint model"):
        compare_schedules(untrained(NoiseNetwork), minima(1), 1, [20])
    with pytest.raises(UserError, match="steps up to 99, not 100"):
        compare_schedules(exact_model(), minima(1), 1, [100])


def test_a_relaxer_with_a_bond_graph_treats_mmff94_minima_too(data_folder: Path) -> None:
    model = load_model("morered-jt-qm9-small")
    known = known_structures(data_folder / "qm9_val.npz", model)
    _, ends = compare_schedules(model, known, 10, [60], max_iterations=60)
    numbers = summarise_schedules(ends).set_index(["start", "schedule"])["ratio_median"]
    assert len(ends) == 40 and set(ends["start"]) == {"noised to step 60", "MMFF94 minima"}
    assert (numbers < 1).all() and numbers["noised to step 60", "fixed"] < 0.6
    with pytest.raises(UserError, match="knows the steps up to 100, not 200"):
        compare_schedules(model, known, 1, [200])
    assert list(shells(model, known, 1, 3)["step"]) == [0, 50, 100], "of those that it was trained on"


def test_figures_of_nothing_valid_are_made() -> None:
    from prerelax.studies.from_noise.analysis import summarise

    made = sample_from_noise(
        untrained(),
        dict.fromkeys("abc", np.array([6, 1, 1, 8])),
        Sampling(max_iterations=4, limits=[2]),
        device="cpu",
    )
    judged = judge(made).assign(compositions="c", run="r", model="m", sampler="jt")
    numbers = summarise(judged, frozenset())
    assert (numbers["percent"] == 0).all()
    for figure in (generated_shares(numbers), generation_limits(numbers, {"r": made.steps_of()})):
        figure.draw_without_rendering()
