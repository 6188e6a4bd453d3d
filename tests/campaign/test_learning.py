"""What the denoisers of a campaign learn from, known from its config and its number of rows."""

import json

import pytest

from prerelax.campaign.config import load_campaign
from prerelax.campaign.handing_on import relaxing_from
from prerelax.campaign.layout import Layout
from prerelax.campaign.learning import lessons, rows_of_rounds, spread, teaches_guide
from prerelax.campaign.sharding import cut
from prerelax.errors import UserError

ROUNDS = {"target": "gfn2", "on": "molecules", "rounds": [20, 50, 90]}


def campaign_that_learns(adapt: dict[str, object]):  # type: ignore[no-untyped-def]
    start = {"kind": "diffuse", "model": "relaxer-organic", "adapt": adapt}
    starts = {"mmff94": {"kind": "forcefield"}, "mine": start}
    return load_campaign({"campaign": "x", "molecules": "m.csv", "starts": starts})


def test_rounds_draw_their_molecules_from_a_few_shards() -> None:
    shards = list(cut(0, 100_000, 200))
    rounds = rows_of_rounds(shards, [60, 240, 960], seed=42)
    drawn = [(name, row) for each in rounds for name, rows in each.items() for row in rows]
    assert [sum(map(len, each.values())) for each in rounds] == [60, 180, 720]
    assert len(set(drawn)) == 960 and all(row < 200 for _, row in drawn)
    assert 15 <= len({name for name, _ in drawn}) <= 20
    assert {int(name) // 100 for name, _ in drawn} == {0, 1, 2, 3, 4}, "from all over the campaign"
    assert rounds == rows_of_rounds(shards, [60, 240, 960], seed=42)
    assert rounds != rows_of_rounds(shards, [60, 240, 960], seed=43)
    assert spread(7) == list(range(7)) and spread(40) == list(range(0, 40, 2))


def test_every_round_is_a_lesson_and_later_ones_know_where_molecules_began() -> None:
    found = lessons(campaign_that_learns(ROUNDS), list(cut(0, 200, 20)))
    assert list(found) == ["mine.20", "mine.50", "mine"] and found["mine"].after == 90
    layout = Layout.of("x")
    assert not found["mine.20"].begun_at(layout)
    assert all("/20/relaxed/" in path for path in found["mine.20"].relaxed(layout))
    folders = {path.split("/")[4] for path in found["mine"].relaxed(layout)}
    assert folders == {"20", "50", "90"}
    assert {path.split("/")[4] for path in found["mine"].begun_at(layout)} == {"50", "90"}


def test_fragments_are_one_lesson_of_a_few_jobs() -> None:
    found = lessons(campaign_that_learns({"target": "gfn2", "count": 40}), list(cut(0, 200, 20)))
    paths = found["mine"].relaxed(Layout.of("x"))
    assert paths == [f"results/x/pilot/mine/relaxed/{part}.extxyz" for part in range(4)]


def test_a_campaign_smaller_than_its_rounds_is_refused() -> None:
    with pytest.raises(UserError, match=r"90 molecules to learn from, and the campaign has 60; lower rounds"):
        lessons(campaign_that_learns(ROUNDS), list(cut(0, 60, 20)))


def test_a_pilot_teaches_two_level_of_its_target_alone() -> None:
    starts = {
        "mmff94": {"kind": "forcefield"},
        "mine": {"kind": "diffuse", "model": "relaxer-organic", "adapt": {"target": "pbe", "guide": True}},
    }
    dft = {"engine": "pyscf", "method": "PBE", "basis": "def2-SVP"}
    targets = {"pbe": dft, "other": dft, "gfn2": {"engine": "tblite", "method": "GFN2-xTB"}}
    campaign = load_campaign({"campaign": "x", "molecules": "m.csv", "starts": starts, "targets": targets})
    pairs = [(start, target) for start in starts for target in targets]
    assert [pair for pair in pairs if teaches_guide(campaign, *pair)] == [("mine", "pbe")]
    layout = Layout.of("x")
    guided = json.loads(relaxing_from(campaign, layout, "pbe", "mine"))
    assert guided["learned"] == "results/x/adapted/mine/guide.json"
    assert json.loads(relaxing_from(campaign, layout, "pbe", "mmff94")).get("learned") is None
    paths = lessons(campaign, list(cut(0, 200, 20)))["mine"].trajectories(layout)
    assert paths == [f"results/x/pilot/mine/paths/{part}.extxyz" for part in range(len(paths))]


@pytest.mark.parametrize(
    ("target", "adapt"),
    [
        ({"optimizer": "bfgs"}, {}),
        ({"cheap_level": "lindh"}, {}),
        ({"cheap_level": {"engine": "tblite", "method": "GFN2-xTB"}}, {}),
        ({"learned": "own.json"}, {}),
        ({}, {"guide": False}),
    ],
)
def test_what_two_level_does_not_learn_from(target: dict[str, object], adapt: dict[str, object]) -> None:
    dft = {"engine": "pyscf", "method": "PBE", "basis": "def2-SVP", **target}
    start = {
        "kind": "diffuse",
        "model": "relaxer-organic",
        "adapt": {"target": "pbe", "guide": True, **adapt},
    }
    starts = {"mmff94": {"kind": "forcefield"}, "mine": start}
    campaign = load_campaign(
        {"campaign": "x", "molecules": "m.csv", "starts": starts, "targets": {"pbe": dft}}
    )
    assert not teaches_guide(campaign, "mine", "pbe")
