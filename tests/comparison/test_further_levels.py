"""Energies at a further level stand beside the relaxations that they are of, and in the exports."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from prerelax.campaign.config import load_campaign
from prerelax.campaign.section import ConfigError
from prerelax.campaign.sharding import Shard, write_shards
from prerelax.campaign.stages import stages
from prerelax.comparison.comparison import compare, read_comparison
from prerelax.exports.export import export
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard

CONFIG: dict[str, Any] = {
    "campaign": "x",
    "molecules": "m.csv",
    "compare": "none",
    "starts": {
        "mmff94": {"kind": "forcefield"},
        "gfn2": {"kind": "relax", "engine": "tblite", "method": "GFN2-xTB"},
    },
    "targets": {
        "xtb": {"engine": "tblite", "method": "GFN2-xTB", "starts": ["gfn2", "mmff94"]},
        "pbe": {"engine": "pyscf", "method": "PBE", "basis": "def2-SVP", "starts": ["gfn2", "mmff94"]},
    },
    "single_points": {"big": {"engine": "pyscf", "method": "PBE0", "basis": "def2-TZVP"}},
}


def test_they_are_of_the_dft_target_unless_another_is_named() -> None:
    names = [stage.name for stage in stages(load_campaign(CONFIG)) if stage.kind == "points"]
    assert names == ["single_points/big/pbe/gfn2"]
    of_xtb = CONFIG | {"single_points": {"big": CONFIG["single_points"]["big"] | {"of": "xtb"}}}
    assert load_campaign(of_xtb).evaluated_target("big") == "xtb"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"of": "xtbb"}, "single_points.big.of: xtbb is not among the targets; did you mean xtb?"),
        ({"basis": "def2-TZVPX"}, "def2-TZVPX"),
        ({"optimizer": "bfgs"}, "unknown key single_points.big.optimizer"),
    ],
)
def test_mistakes_are_sentences(change: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_campaign(CONFIG | {"single_points": {"big": CONFIG["single_points"]["big"] | change}})
    assert sentence in str(caught.value)


def test_they_come_back_in_comparison_summary_and_export(tmp_path: Path) -> None:
    water = Record(
        "w",
        np.array([8, 1, 1]),
        np.array([[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]]),
        smiles="[O:1]([H:2])[H:3]",
        start="gfn2",
    )
    results = tmp_path / "results" / "x"
    start, relaxed = results / "starts/gfn2/0000.extxyz", results / "relaxed/pbe/gfn2/0000.extxyz"
    points = results / "single_points/big/pbe/gfn2/0000.extxyz"
    for path in (start, relaxed, points):
        path.parent.mkdir(parents=True)
    write_shard(
        start, [water, replace(water, id="bad", status="scf_failed", message="no"), replace(water, id="v")]
    )
    gfn2, gfn1 = (Relaxation(engine="tblite", method=f"GFN{n}-xTB") for n in (2, 1))
    relax_shard(start, relaxed, gfn2, named=Named(target="pbe"))
    single = Relaxation.single_point(gfn1.level)
    relax_shard(relaxed, points, single, named=Named(target="big"))
    rows = read_shard(points)
    write_shard(points, [*rows[:2], replace(rows[2], status="scf_failed", message="no SCF in 50 cycles")])
    (results / "campaign.yaml").write_text(yaml.safe_dump(CONFIG))
    write_shards(results / "shards.csv", [Shard(0, 3)])
    compare(results / "comparison.csv", [relaxed.parent], None)
    table = read_comparison(results / "comparison.csv")
    assert table["single_point_big_ev"][0] == pytest.approx(-158.1, abs=3)
    assert np.isnan(table["single_point_big_ev"][1]) and table["energy_ev"][0] > -140
    assert table["message"].fillna("")[0] == "" and table["message"][1] == "no"
    assert table["message"][2] == "big: scf_failed: no SCF in 50 cycles"
    assert "n_single_point_big" in (results / "summary.csv").read_text().splitlines()[0]
    export(results, "csv")
    assert "big_hartree" in (results / "minima.csv").read_text().splitlines()[0]
