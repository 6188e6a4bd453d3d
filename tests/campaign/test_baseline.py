"""What the others are compared with, in each of its spellings, and for how many molecules."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prerelax.campaign.baseline import Baseline, Sample
from prerelax.campaign.config import load_campaign
from prerelax.campaign.handing_on import compared_with
from prerelax.campaign.names import level_name_for_people, start_names
from prerelax.campaign.sample import NOT_SAMPLED, mark_sample, sampled_rows
from prerelax.campaign.section import ConfigError
from prerelax.campaign.stages import stages
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard

PBE = {"engine": "pyscf", "method": "PBE", "basis": "def2-SVP"}
CONFIG: dict[str, Any] = {
    "campaign": "trial",
    "molecules": "molecules.csv",
    "starts": {
        "mmff94": {"kind": "forcefield"},
        "edm": {"kind": "diffuse", "model": "edm-qm9-small", "sampler": "edm", "steps": 20},
    },
    "targets": {
        "slow": {**PBE, "optimizer": "bfgs", "starts": ["mmff94"]},
        "quick": PBE,
        "gfn2": {"engine": "tblite", "method": "GFN2-xTB"},
    },
}
AT_SLOW = {"start": "mmff94", "target": "slow"}


def relaxed(config: dict[str, Any]) -> set[str]:
    return {stage.name for stage in stages(load_campaign(config)) if stage.kind == "relax"}


def test_a_start_alone_keeps_its_meaning() -> None:
    campaign = load_campaign(CONFIG | {"baseline": "mmff94"})
    assert campaign.baseline == Baseline(start="mmff94", target=None)
    assert [campaign.baseline_target(name) for name in CONFIG["targets"]] == ["slow", "quick", "gfn2"]
    assert compared_with(campaign) == "mmff94"


def test_a_target_of_the_same_level_is_the_baselines() -> None:
    campaign = load_campaign(CONFIG | {"baseline": AT_SLOW})
    assert [campaign.baseline_target(name) for name in CONFIG["targets"]] == ["slow", "slow", "gfn2"]
    assert compared_with(campaign) == "mmff94@slow"
    only_edm = CONFIG["targets"] | {"quick": {**PBE, "starts": ["edm"]}}
    assert load_campaign(CONFIG | {"baseline": AT_SLOW, "targets": only_edm})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"baseline": {"start": "mmff94", "target": "slwo"}}, "did you mean slow?"),
        ({"baseline": {"start": "mmff49"}}, "did you mean mmff94?"),
        (
            {"baseline": {"start": "edm", "target": "slow"}},
            "slow.starts: the baseline edm is missing",
        ),
        ({"practice": "mmff94-bfgs", "baseline": "mmff94"}, "leave out one of the two"),
        ({"practice": "orca"}, "gfn2-geometric"),
        ({"practice": "mmff94-bfgs", "targets": {}}, "needs a target"),
        ({"compare": {"sample": 0}}, "sample"),
    ],
)
def test_what_names_nothing_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("?", r"\?")):
        load_campaign(CONFIG | changes)


def test_none_relaxes_no_baseline() -> None:
    everything = relaxed(CONFIG | {"baseline": AT_SLOW})
    assert everything - relaxed(CONFIG | {"baseline": AT_SLOW, "compare": "none"}) == {
        "relaxed/slow/mmff94",
        "relaxed/gfn2/mmff94",
    }
    assert compared_with(load_campaign(CONFIG | {"compare": "none"})) == "none"


def test_practice_is_a_start_a_target_and_a_baseline() -> None:
    targets = {"gfn2": CONFIG["targets"]["gfn2"], "quick": {**PBE, "only": {"max_atoms": 30}}}
    campaign = load_campaign(CONFIG | {"targets": targets, "practice": "gfn2-geometric"})
    assert campaign.baseline == Baseline(start="gfn2", target="quick-practice")
    made = campaign.targets["quick-practice"]
    assert (made.optimizer, made.starts, made.basis, made.only.max_atoms) == (
        "geometric",
        ["gfn2"],
        "def2-SVP",
        30,
    )
    assert campaign.starts_of("quick") == ["mmff94", "edm"], "the start of practice is not a candidate"
    again = load_campaign(CONFIG | {"targets": targets, "practice": "mmff94-bfgs"})
    assert again.baseline == Baseline(start="mmff94", target="quick-practice")
    assert again.starts_of("quick") == ["mmff94", "edm"]


def test_a_sample_is_drawn_by_seed_and_lasts() -> None:
    rows = sampled_rows(1000, 50, seed=42)
    assert len(rows) == 50 and rows == sampled_rows(1000, 50, seed=42) != sampled_rows(1000, 50, seed=1)
    assert len(rows & sampled_rows(1100, 50, seed=42)) > 35, "rows appended later change few of them"
    assert sampled_rows(3, 50, seed=0) == {0, 1, 2}
    campaign = load_campaign(CONFIG | {"compare": {"sample": 50}, "baseline": AT_SLOW})
    assert campaign.compare == Sample(sample=50)
    assert campaign.is_sampled("slow", "mmff94") and not campaign.is_sampled("quick", "mmff94")


def test_other_rows_are_skipped(tmp_path: Path) -> None:
    """Two conformers each; what failed before keeps its status."""
    water = {"numbers": np.array([8, 1, 1]), "positions": np.zeros((3, 3))}
    records = [
        Record(id=name, conformer=c, start="mmff94", status="embed_failed" if name == "c" else "ok", **water)
        for name in "abc"
        for c in (0, 1)
    ]
    write_shard(tmp_path / "in.extxyz", records)
    mark_sample(tmp_path / "in.extxyz", tmp_path / "out.extxyz", [1], n_rows=3)
    found = read_shard(tmp_path / "out.extxyz")
    statuses = ["skipped", "skipped", "ok", "ok", "embed_failed", "embed_failed"]
    assert [each.status for each in found] == statuses and found[0].message == NOT_SAMPLED


def test_names_for_people() -> None:
    campaign = load_campaign(CONFIG)
    assert start_names(campaign) == {"mmff94": "MMFF94", "edm": "EDM, 20 steps"}
    assert level_name_for_people("qm9 (pyscf)") == "B3LYP/6-31G(2df,p)"
    assert (
        level_name_for_people("PBE-D4/def2-SVP in water by smd (pyscf)") == "PBE-D4/def2-SVP in water by smd"
    )
