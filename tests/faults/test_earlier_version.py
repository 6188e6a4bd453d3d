"""Results of the version before check sums, convergence criteria and isomers: read, counted, taken up."""

import zipfile
from pathlib import Path

import pytest

from prerelax.campaign.inspection import unfit_shards
from prerelax.campaign.sharding import Sharding
from prerelax.campaign.stages import read_campaign
from prerelax.comparison.comparison import compare
from prerelax.comparison.verification import verify
from prerelax.records.shard import read_shard
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard

RESULTS = Path("results/c")


@pytest.fixture(autouse=True)
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three molecules, one of them broken, in two shards, relaxed at GFN1-xTB by commit f2072ae."""
    with zipfile.ZipFile(Path(__file__).with_name("earlier_version.zip")) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)


def test_its_shards_stand_and_its_rows_are_accounted_for() -> None:
    campaign = read_campaign(Path("c.yaml"))
    shards = Sharding(campaign.molecules, campaign.shard_size, RESULTS).shards
    assert unfit_shards(campaign, RESULTS, shards) == []
    said = compare(RESULTS / "comparison.csv", [RESULTS / "relaxed/gfn1/mmff94"], None, len(shards))
    assert "2/3" in said
    verdict = verify(campaign, Path(), 0)
    assert verdict.rows["relaxed/gfn1/mmff94"] == {"ok": 2, "input_error": 1}
    assert not [problem for problem in verdict.problems if ".csv" not in problem]


def test_its_shard_that_lost_rows_is_made_again() -> None:
    campaign = read_campaign(Path("c.yaml"))
    shards = Sharding(campaign.molecules, campaign.shard_size, RESULTS).shards
    frames = RESULTS / "starts/mmff94/0000.extxyz"
    frames.write_bytes(b"")
    (found,) = unfit_shards(campaign, RESULTS, shards)
    assert found.frames == frames and "not a whole shard (0 bytes)" in found.reason


def test_its_journal_is_taken_up() -> None:
    out = RESULTS / "relaxed/gfn1/mmff94/0000.extxyz"
    before = [(row.id, row.energy_ev, row.n_gradients) for row in read_shard(out)]
    out.unlink()
    relaxation = Relaxation(engine="tblite", method="GFN1-xTB", optimizer="bfgs", fmax=0.03)
    inp = RESULTS / "starts/mmff94/0000.extxyz"
    done = relax_shard(inp, out, relaxation, named=Named(target="gfn1"), progress=lambda _: None)
    assert (done.n_computed, done.n_resumed) == (0, 2)
    assert [(row.id, row.energy_ev, row.n_gradients) for row in read_shard(out)] == before
