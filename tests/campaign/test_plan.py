"""Costs fitted to finished shards, shards of equal cost, and the end of a campaign on given machines."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prerelax.campaign.config import Campaign
from prerelax.campaign.cost import PowerLaw, costs
from prerelax.campaign.plan import files_per_shard, fill, jobs_to_do, make_plan, plan_text, write_plan
from prerelax.campaign.profile import read_profile
from prerelax.campaign.requests import Requests, read_requests
from prerelax.campaign.schedule import Job, Machines, finishing_time_s
from prerelax.campaign.sharding import read_shards
from prerelax.campaign.sizes import electrons_of_smiles, sizes_of_input
from prerelax.campaign.stages import stages
from prerelax.campaign.starts import DiffuseStart
from prerelax.campaign.timing import timed_gradients
from prerelax.engines import ENGINES
from prerelax.errors import UserError
from prerelax.molecules.molecule import read_molecules
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.settings import Only

Run = Callable[..., dict[str, int]]


def test_a_law_finds_itself_again() -> None:
    electrons = np.random.default_rng(0).uniform(10, 200, 400)
    noise = np.random.default_rng(1).lognormal(0, 0.3, 400)
    law = PowerLaw(1.0, 1.0).fitted(electrons, 0.02 * (electrons / 60) ** 2.4 * noise)
    assert law.exponent == pytest.approx(2.4, abs=0.1)
    assert law(electrons).sum() == pytest.approx((0.02 * (electrons / 60) ** 2.4 * noise).sum())


def test_a_law_keeps_its_exponent_where_sizes_are_alike() -> None:
    law = PowerLaw(1.0, 2.5).fitted(np.full(50, 60.0), np.full(50, 7.0))
    assert (law.exponent, law.at_reference, law.n_fitted) == (2.5, pytest.approx(7.0), 50)
    assert PowerLaw(1.0, 2.5).fitted(np.array([60.0]), np.array([7.0])) == PowerLaw(1.0, 2.5)


@pytest.mark.parametrize("kind", ["csv", "sdf"])
def test_sizes_are_near_the_true_ones(tmp_path: Path, repository: Path, kind: str) -> None:
    if kind == "csv":
        path = repository / "examples/molecules.csv"
    else:
        from rdkit import Chem

        path = tmp_path / "m.sdf"
        with Chem.SDWriter(str(path)) as writer:
            for smiles in ("CCO", "c1ccccc1Cl", "CC(=O)[O-]", "C#N"):
                writer.write(Chem.MolFromSmiles(smiles))
    true = np.array([molecule.numbers.sum() for molecule in read_molecules(path)])
    assert sizes_of_input(path).electrons == pytest.approx(true, rel=0.25)


def test_sizes_of_a_set_of_structures_are_near_the_true_ones(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    numbers = np.array([8, 1, 1, 6, 1, 1, 1, 1])
    np.savez(path, ids=["a", "b"], n_atoms=[3, 5], numbers=numbers, positions=np.zeros((8, 3)))
    sizes = sizes_of_input(path)
    assert sizes.heavy_atoms.tolist() == [1, 1]
    assert sizes.electrons.sum() == pytest.approx(20, rel=0.2)


def test_electrons_of_shards_are_exact(repository: Path) -> None:
    molecules = read_molecules(repository / "examples/molecules.csv")
    true = [molecule.numbers.sum() for molecule in molecules]
    assert electrons_of_smiles([molecule.smiles for molecule in molecules]).tolist() == true
    assert electrons_of_smiles(["[nH0:1]1[cH0:2][Cl:3][C@@:4][H:5]"]).tolist() == [7 + 6 + 17 + 6 + 1]


def test_costs_come_from_the_campaign_itself(campaign: Campaign, run_stages: Run, tmp_path: Path) -> None:
    every, results = stages(campaign), tmp_path / "results/springs"
    assert costs(every, results, 3)["relaxed/gfn2/mmff94"].source == "first guess"
    run_stages()
    relaxed = results / "relaxed/gfn2/mmff94"
    for number in range(3):
        shard = relaxed / f"{number:04d}.extxyz"
        rows = [replace(row, wall_s=float(row.numbers.sum()), n_gradients=10) for row in read_shard(shard)]
        write_shard(shard, rows)
    cost = costs(every, results, 3)["relaxed/gfn2/mmff94"]
    assert cost.source == "5 molecules of this campaign"
    electrons = np.array([18.0, 18, 18, 14, 10])
    assert cost(electrons).sum() == pytest.approx(electrons.sum(), rel=0.02)


@given(
    st.lists(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=40), min_size=1, max_size=3).filter(
        lambda rows: len({len(row) for row in rows}) == 1
    )
)
def test_shards_are_full_and_not_overfull(loads: list[list[float]]) -> None:
    each = np.array(loads)
    shards = fill(np.cumsum(each, axis=1), first=7)
    assert shards[0].first == 7 and shards[-1].last == 7 + each.shape[1]
    for shard, following in zip(shards, [*shards[1:], None], strict=True):
        inside = each[:, shard.first - 7 : shard.last - 7].sum(axis=1).max()
        assert inside <= 1 + 1e-9 or shard.last - shard.first == 1
        if following is not None:
            assert shard.last == following.first
            assert each[:, shard.first - 7 : shard.last - 6].sum(axis=1).max() > 1 - 1e-9


def test_shards_that_have_begun_stay(campaign: Campaign, run_stages: Run, tmp_path: Path) -> None:
    run_stages(n_shards=1)
    plan = make_plan(campaign, tmp_path, wanted_minutes=60)
    assert [shard.rows for shard in plan.shards] == ["0:2", "2:5"]
    write_plan(plan, longest_minutes=100, node_mem_mb=4000)
    noted = read_shards(tmp_path / "results/springs/shards.csv")
    assert [shard.rows for shard in noted] == ["0:2", "2:5"]
    run_stages()  # the planned shards are those that run
    assert make_plan(campaign, tmp_path).stages[-1].to_do.tolist() == [False, False]


def test_a_plan_is_in_words(campaign: Campaign, tmp_path: Path) -> None:
    text = plan_text(make_plan(campaign, tmp_path), Machines(8))
    assert "5 molecules in 3 shards of 1 to 2" in text
    assert "to do: 11 jobs" in text  # three shards at three stages, comparison, figures
    assert "with 8 cores, 200 jobs at once: done in" in text


def test_a_plan_counts_what_a_level_is_learned_from(campaign: Campaign, tmp_path: Path) -> None:
    def learning(**adapt: object) -> str:
        part = {"kind": "diffuse", "model": "relaxer-organic", "adapt": {"target": "gfn2", **adapt}}
        start = DiffuseStart.model_validate(part)
        changed = campaign.model_copy(update={"starts": {**campaign.starts, "mine": start}})
        return plan_text(make_plan(changed, tmp_path), Machines(8))

    assert "mine first learns gfn2 from 60 fragments, at most 0.0" in learning()
    text = learning(on="molecules", rounds=[20, 40])
    assert "mine first learns gfn2 from all 5 molecules in 2 rounds, which count there" in text
    (tmp_path / "results" / campaign.campaign / "adapted/mine").mkdir(parents=True)
    (tmp_path / "results" / campaign.campaign / "adapted/mine/weights.safetensors").touch()
    assert "learns" not in learning()


def test_gradients_are_timed_on_the_campaigns_own_molecules(
    campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, "instant", "instant_engine:Instant")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    target = campaign.targets["gfn2"].model_copy(update={"engine": "instant", "method": "spring"})
    said: list[str] = []
    timed = timed_gradients(campaign.model_copy(update={"targets": {"x": target}}), tmp_path, said.append)
    law = timed["instant", "spring"]
    assert law.n_fitted == 3 and 0 < law.at_reference < 100  # seconds of the clock, also on a busy machine
    assert len(said) == 4 and all(line.startswith("instant spring: ") for line in said)
    assert said[0].startswith("instant spring: water, 3 atoms: ")
    only = target.model_copy(update={"only": Only(max_heavy_atoms=1)})
    said.clear()
    timed_gradients(campaign.model_copy(update={"targets": {"x": only}}), tmp_path, said.append)
    assert [line.split()[2] for line in said[:-1]] == ["water,"]
    nothing = target.model_copy(update={"only": Only(max_atoms=2)})
    said.clear()
    assert (
        timed_gradients(campaign.model_copy(update={"targets": {"x": nothing}}), tmp_path, said.append) == {}
    )
    assert said == ["instant spring: none of the first 5 molecules is to be treated"]


def test_only_what_a_target_takes_costs(campaign: Campaign, tmp_path: Path) -> None:
    target = campaign.targets["gfn2"]
    only = target.model_dump() | {"only": {"max_heavy_atoms": 1}}
    small = Campaign.model_validate(campaign.model_dump(by_alias=True) | {"targets": {"gfn2": only}})
    some, everything = (make_plan(each, tmp_path).stages[-1].core_s for each in (small, campaign))
    assert some[0] == 0 and some[2] == everything[2] > 0


def test_the_end_on_machines() -> None:
    two = [Job(10, 1), Job(10, 1)]
    assert finishing_time_s(two, Machines(2)) == 10
    assert finishing_time_s(two, Machines(1)) == 20
    assert finishing_time_s(two, Machines(2, jobs=1)) == 20
    chain = [Job(10, 1), Job(5, 1, [0]), Job(1, 4, [1])]
    assert finishing_time_s(chain, Machines(4)) == 16
    assert finishing_time_s(chain, Machines(2)) == 17  # the last one on half its cores
    gpu = [Job(10, 1, wants_gpu=True), Job(10, 1, wants_gpu=True)]
    assert finishing_time_s(gpu, Machines(8, gpus=1)) == 20
    assert finishing_time_s(gpu, Machines(8)) == 10
    assert finishing_time_s([], Machines(1)) == 0


def test_jobs_of_a_shard_wait_for_each_other(campaign: Campaign, tmp_path: Path) -> None:
    jobs = jobs_to_do(make_plan(campaign, tmp_path))
    assert [list(job.after) for job in jobs[:4]] == [[], [0], [1], []]
    assert len(jobs[-2].after) == 9


def test_grouped_stages_are_one_job(campaign: Campaign, tmp_path: Path) -> None:
    plan = make_plan(campaign, tmp_path)
    alone, grouped = jobs_to_do(plan), jobs_to_do(plan, {"embed": "geometry", "forcefield": "geometry"})
    assert (len(alone), len(grouped)) == (11, 8)
    assert [list(job.after) for job in grouped[:4]] == [[], [0], [], [2]]
    assert sum(job.seconds for job in grouped) == pytest.approx(sum(job.seconds for job in alone))


def test_a_million_molecules_are_few_jobs_and_files(campaign: Campaign, tmp_path: Path) -> None:
    starts = {"mmff94": {"kind": "forcefield"}, "gfn2": RELAX | {"kind": "relax"}}
    starts |= {f"edm-{n}": {"kind": "diffuse", "steps": n} for n in (20, 30, 50)}
    groups = dict.fromkeys(("embed", "forcefield", "prerelax_xtb"), "geometry")
    for n_targets, most in ((1, {}), (2, groups)):
        targets = {f"gfn2-{n}": RELAX for n in range(n_targets)}
        config = campaign.model_dump(by_alias=True) | {"starts": starts, "targets": targets}
        (tmp_path / "molecules.csv").write_text("id,smiles\n" + "a,C\n" * 1000)
        plan = make_plan(Campaign.model_validate(config | {"shard_size": 1000}), tmp_path)
        per_thousand = len(jobs_to_do(plan, most)) - 2
        assert per_thousand * 1000 + 2 < 15_000
        assert files_per_shard(plan) < 100


RELAX = {"engine": "tblite", "method": "GFN2-xTB"}


def test_requests_grow_and_stay_below_the_site_limits(tmp_path: Path) -> None:
    requests = Requests(100, 4000, {"relaxed/a/b": [30, 40]}, {"relaxed/a/b": 1500})
    assert [requests.minutes_of("relaxed/a/b", "0001", n, 60) for n in (1, 2, 3)] == [40, 80, 100]
    assert requests.minutes_of("relaxed/a/b", "0007", 1, 60) == 40  # a shard of rows added later
    assert requests.minutes_of("starts/x", "0001", 1, 60) == 60
    assert [requests.mem_mb_of("relaxed/a/b", n, 1) for n in (1, 3)] == [1500, 4000]
    settings = {"relax_xtb": {"runtime": 1, "mem_mb": 1, "slurm_partition": "cpu"}, "diffuse": {"runtime": 1}}
    Requests().replace_profile(settings)
    assert "runtime" in settings["relax_xtb"]
    requests.replace_profile(settings)
    assert settings == {"relax_xtb": {"slurm_partition": "cpu"}, "diffuse": {"runtime": 1}}
    (tmp_path / "plan.json").write_text(json.dumps({"minutes": 3, "cake": 1}))
    with pytest.raises(UserError, match="not a plan"):
        read_requests(tmp_path)
    assert read_requests(tmp_path / "none") == Requests()


def test_the_shipped_profile_says_what_a_plan_needs(repository: Path) -> None:
    profile = read_profile(repository / "slurm")
    assert {"relax_xtb", "relax_dft", "diffuse"} <= set(profile.threads)
    assert profile.jobs


@pytest.mark.parametrize("content", [None, "set-threads: 3", "- a\n- b", "a: ["])
def test_a_wrong_profile_is_one_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(UserError, match="profile"):
        read_profile(tmp_path)
