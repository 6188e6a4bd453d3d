"""What `conformers: {count, keep}` of a campaign means: starts, folders, stages, rows."""

from typing import Any

import pytest

from prerelax.campaign.config import load_campaign
from prerelax.campaign.handing_on import embedding, making_start
from prerelax.campaign.inspection import rows_expected
from prerelax.campaign.layout import Layout
from prerelax.campaign.section import ConfigError
from prerelax.campaign.sharding import Shard
from prerelax.campaign.stages import stages

KEPT: dict[str, Any] = {"campaign": "x", "molecules": "m.csv", "conformers": {"count": 20}}
DFT = {"dft": {"engine": "pyscf", "method": "PBE", "basis": "def2-SVP"}}
DENOISED = {"mmff94": {"kind": "forcefield"}, "auto": {"kind": "diffuse", "model": "auto"}}


def flow(config: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(stage.name, stage.source) for stage in stages(load_campaign(config))]


def test_without_starts_the_kept_minima_go_on() -> None:
    assert flow(KEPT | {"targets": DFT, "compare": "none"}) == [
        ("molecules", None),
        ("starts/mmff94", "molecules"),
        ("starts/gfn2", "starts/mmff94"),
        ("kept/gfn2", "starts/gfn2"),
        ("relaxed/dft/gfn2", "kept/gfn2"),
    ]


def test_other_starts_are_made_of_the_conformers_that_are_kept() -> None:
    config = KEPT | {"targets": DFT, "starts": DENOISED}
    assert flow(config) == [
        ("molecules", None),
        ("starts/mmff94", "molecules"),
        ("starts/gfn2", "starts/mmff94"),
        ("kept/gfn2", "starts/gfn2"),
        ("kept/mmff94", "starts/mmff94"),
        ("starts/auto", "kept/mmff94"),
        ("relaxed/dft/mmff94", "kept/mmff94"),
        ("relaxed/dft/auto", "starts/auto"),
    ]


def test_every_stage_keeps_all_rows() -> None:
    campaign = load_campaign(KEPT | {"targets": DFT, "starts": DENOISED})
    assert {tuple(rows or ()) for rows in rows_expected(campaign, [Shard(0, 3)]).values()} == {(60,)}
    assert '"conformers":20' in embedding(campaign)


def test_a_search_makes_as_many_rows_of_one_geometry() -> None:
    conformers = {"count": 20, "method": "sample"}
    campaign = load_campaign(KEPT | {"conformers": conformers, "targets": DFT, "compare": "none"})
    rows = rows_expected(campaign, [Shard(0, 3)])
    assert rows == {
        "molecules": [3],
        "starts/mmff94": [3],
        "starts/gfn2": [60],
        "kept/gfn2": [60],
        "relaxed/dft/gfn2": [60],
    }
    assert "conformers" not in embedding(campaign)
    assert '"conformers":20' in making_start(campaign, Layout.of("x"), "gfn2")


def test_a_number_alone_keeps_all() -> None:
    assert [name for name, _ in flow(KEPT | {"conformers": 3}) if name.startswith("kept")] == []
    assert flow(KEPT | {"conformers": {"count": 3, "keep": None}}) == flow(KEPT | {"conformers": 3})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"conformers": {"count": 0}}, "conformers.count must be at least 1"),
        ({"conformers": {"count": 5, "keep": {"at": "gnf2"}}}, "gnf2 is not among the starts"),
        ({"conformers": {"count": 5, "keep": {"at": "pm6"}}}, "kind relax or sample; known are gfn2, gfn1"),
        ({"conformers": {"count": 5, "keep": {"at": "mmff94"}}}, "the start mmff94 has no energies"),
        (
            {"conformers": {"count": 5, "keep": {"window": 3}}},
            "unknown key conformers.keep.window; known are window_kcal_mol",
        ),
        ({"conformers": {"count": 5, "method": "sample", "keep": {"at": "gfn1"}}}, "keep them `at: gfn2`"),
        ({"conformers": {"count": 5, "methd": "etkdg"}}, "did you mean method?"),
        ({"conformers": "many"}, "conformers must be a whole number"),
    ],
)
def test_mistakes_are_sentences(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_campaign(KEPT | {"targets": DFT} | change)
    assert sentence in str(caught.value)


def test_without_a_comparison_no_baseline_is_needed() -> None:
    alone = {"gfn2": {"kind": "relax", "from": "rdkit", "engine": "tblite", "method": "GFN2-xTB"}}
    config = KEPT | {"targets": DFT, "starts": alone}
    with pytest.raises(ConfigError, match="baseline: mmff94 is not among the starts"):
        load_campaign(config)
    assert load_campaign(config | {"compare": "none"}).relaxed_starts("dft") == ["gfn2"]


@pytest.mark.parametrize(("said", "words"), [({}, "mmff94, the default,"), ({"from": "mmff94"}, "mmff94")])
def test_a_default_that_is_not_there_is_called_one(said: dict[str, str], words: str) -> None:
    alone = {"gfn2": {"kind": "relax", "engine": "tblite", "method": "GFN2-xTB"} | said}
    with pytest.raises(ConfigError, match=f"starts.gfn2.from: {words} is not among the starts"):
        load_campaign(KEPT | {"targets": DFT, "starts": alone})
