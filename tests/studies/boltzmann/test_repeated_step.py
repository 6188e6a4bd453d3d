"""One step repeated: its stationary distribution where it is known, and chains that break molecules."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.diffusion.edm import transition
from prerelax.diffusion.samplers import SamplerInput
from prerelax.errors import UserError
from prerelax.networks.batch import Batch
from prerelax.networks.network import Network
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.single_points import read_frames
from prerelax.studies.boltzmann.config import RepeatedStep
from prerelax.studies.boltzmann.repeated_step import ChainInput, ChainPlan, repeat_step
from prerelax.studies.boltzmann.repeated_step_shard import repeat_step_shard

NUMBERS = np.array([8, 1, 1])
WATER = np.array([[0.0, 0.0, 0.119], [0.0, 0.763, -0.477], [0.0, -0.763, -0.477]])
WATER = WATER - WATER.mean(axis=0)
BONDED = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]], dtype=bool)
SCHEDULE = NoiseSchedule.polynomial()


class KnowsWater(Network):
    """The exact denoiser of a data set that is this one geometry: eps = (z - alpha x) / sigma."""

    types = "fixed"

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        step = round(float(time[0]) * SCHEDULE.timesteps)
        clean = torch.from_numpy(np.tile(WATER, (batch.n_molecules, 1))).to(batch.positions)
        return (batch.positions - float(SCHEDULE.alpha[step]) * clean) / float(SCHEDULE.sigma[step])


def model(network: nn.Module) -> LoadedModel:
    return LoadedModel("water", network, SCHEDULE, (1, 8))


def chain(identifier: str, positions: np.ndarray = WATER, numbers: np.ndarray = NUMBERS) -> ChainInput:
    return ChainInput(SamplerInput(identifier, numbers, positions), BONDED)


def deviations(plan: ChainPlan, n_chains: int = 300) -> np.ndarray:
    results = repeat_step(model(KnowsWater()), [chain(str(i)) for i in range(n_chains)], plan, batch_size=300)
    assert {result.status for result in results} == {"ok"}
    return np.concatenate([result.geometries for result in results]) - WATER


@pytest.mark.parametrize("n", [6, 20])
def test_the_variance_of_a_repeated_step(n: int) -> None:
    found = deviations(ChainPlan(n, repeats=200, burn_in=60, every=20))
    removed = transition(SCHEDULE, n)[1] / float(SCHEDULE.sigma[n]) ** 2
    expected = float(SCHEDULE.sigma[n - 1]) ** 2 / (2 - removed)
    centring = 2 / 3  # a centred molecule of three atoms has two thirds of each coordinate's variance
    assert (found**2).mean() == pytest.approx(centring * expected, rel=0.05)


def test_noising_up_and_denoising_keeps_the_noised_data() -> None:
    found = deviations(ChainPlan(20, repeats=200, burn_in=60, every=20, scheme="renoise"))
    assert (found**2).mean() == pytest.approx(2 / 3 * float(SCHEDULE.sigma[19]) ** 2, rel=0.05)


def test_perturbation_alone_breaks_the_molecule() -> None:
    plan = ChainPlan(20, repeats=4000, burn_in=0, every=1, scheme="perturb")
    broken, refused = repeat_step(
        model(KnowsWater()), [chain("a"), chain("b", numbers=np.array([16, 1, 1]))], plan
    )
    assert broken.status == "connectivity_changed"
    assert len(broken.geometries) == broken.n_steps < 4000
    assert f"step {broken.n_steps + 1} of 4000" in broken.message
    assert refused.status == "unsupported_element"


def test_a_chain_depends_on_its_molecule_step_and_seed_alone() -> None:
    plan = ChainPlan(6, repeats=30, burn_in=10, every=10)
    far = chain("b", WATER + 7.0)
    together = repeat_step(model(KnowsWater()), [chain("a"), far, chain("c")], plan)
    alone = repeat_step(model(KnowsWater()), [far], plan)
    assert alone[0].geometries.shape == (2, 3, 3)
    np.testing.assert_allclose(alone[0].geometries, together[1].geometries, atol=1e-5)
    np.testing.assert_allclose(alone[0].geometries.mean(axis=(0, 1)), [7.0] * 3, atol=1e-3)
    other_seed = repeat_step(model(KnowsWater()), [far], plan, seed=1)
    assert not np.allclose(alone[0].geometries, other_seed[0].geometries, atol=1e-3)


class BreaksSome(KnowsWater):
    """Pulls atoms of the molecules at odd places apart once it has been asked ten times."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        self.calls += 1
        noise = super().forward(batch, time)
        if self.calls == 10:
            noise = noise + 1e4 * (batch.molecule_index % 2)[:, None] * torch.randn_like(noise)
        return noise


def test_the_others_go_on_when_a_molecule_breaks() -> None:
    plan = ChainPlan(6, repeats=30, burn_in=0, every=1)
    inputs = [chain(name) for name in "abcd"]
    results = repeat_step(model(BreaksSome()), inputs, plan)
    assert [result.status for result in results] == ["ok", "connectivity_changed"] * 2
    assert [len(result.geometries) for result in results] == [30, 9, 30, 9]
    undisturbed = repeat_step(model(KnowsWater()), inputs, plan)
    np.testing.assert_allclose(results[2].geometries, undisturbed[2].geometries, atol=1e-5)


def test_plans_and_models_that_make_no_chain() -> None:
    with pytest.raises(UserError, match="nothing"):
        ChainPlan(5, repeats=100, burn_in=90, every=20)
    with pytest.raises(UserError, match="1…1000"):
        repeat_step(model(KnowsWater()), [chain("a")], ChainPlan(1001))


def test_rows_and_frames_of_a_shard(tmp_path: Path) -> None:
    shard, out, frames = (tmp_path / f"{name}.extxyz" for name in ("in", "out", "frames"))
    write_shard(
        shard,
        [
            Record("water", NUMBERS, WATER, start="rdkit"),
            Record("iron", np.array([26, 1, 1]), WATER * 1.5, start="rdkit"),
            Record("nothing", start="rdkit", status="embed_failed"),
        ],
    )
    settings = RepeatedStep(model="edm-qm9-small", step=6, repeats=60, burn_in=20, every=20, replicas=2)
    statuses = repeat_step_shard(shard, out, frames, settings)
    assert statuses == {"ok": 2, "unsupported_element": 2, "embed_failed": 2}
    rows = read_shard(out)
    assert [(row.id, row.conformer) for row in rows[:2]] == [("water", 0), ("water", 1)]
    assert {row.start for row in rows} == {"step-n6"}
    kept = read_frames(frames)
    assert [(frame.molecule, frame.call) for frame in kept] == [
        (("water", replica), call) for replica in (0, 1) for call in (0, 1)
    ]
    np.testing.assert_allclose(kept[1].record.positions, rows[0].positions, atol=1e-6)
    assert not np.allclose(rows[0].positions, rows[1].positions, atol=1e-3)


@pytest.mark.slow
def test_perturbation_alone_is_never_ok(tmp_path: Path) -> None:
    shard, out, frames = (tmp_path / f"{name}.extxyz" for name in ("in", "out", "frames"))
    write_shard(shard, [Record("water", NUMBERS, WATER, start="rdkit")])
    settings = RepeatedStep(
        model="edm-qm9-small", step=30, repeats=5000, burn_in=100, scheme="perturb", replicas=3
    )
    statuses = repeat_step_shard(shard, out, frames, settings)
    assert statuses == {"connectivity_changed": 3}
    assert read_frames(frames) == []
