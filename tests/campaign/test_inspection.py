"""What cannot stand is found when a campaign starts, and moved aside."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prerelax.campaign.config import Campaign
from prerelax.campaign.inspection import move_aside, told, unfit_shards
from prerelax.campaign.sharding import Sharding
from prerelax.engines.level import Level
from prerelax.records.seal import refusal_path, table_path
from prerelax.records.shard import ShardError, read_shard, write_shard
from prerelax.relaxation.settings import Relaxation

Run = Callable[..., dict[str, int]]


@pytest.fixture
def results(campaign: Campaign, run_stages: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    run_stages()
    return Path("results") / campaign.campaign


def unfit(campaign: Campaign, results: Path, stage: str) -> dict[str, str]:
    shards = Sharding(campaign.molecules, campaign.shard_size, results).shards
    found = unfit_shards(campaign, results, shards)
    return {each.frames.stem: each.sentence for each in found if each.frames.parent == results / stage}


def cut_at_a_frame(frames: Path) -> None:
    text = frames.read_text()
    frames.write_text(text[: text.index("\n", text.index("mmff94", len(text) // 2) // 2)])


def test_a_whole_campaign_stands(campaign: Campaign, results: Path) -> None:
    assert unfit(campaign, results, "molecules") == unfit(campaign, results, "starts/mmff94") == {}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda frames: frames.write_bytes(b""), "not a whole shard (0 bytes"),
        (cut_at_a_frame, "not a whole shard"),
        (lambda frames: table_path(frames).unlink(), "missing beside its shard"),
        (lambda frames: table_path(frames).write_bytes(b"PAR1"), "not a whole table"),
        (lambda frames: write_shard(frames, read_shard(frames)[:1]), "1 rows where the campaign has 2"),
        (lambda frames: write_shard(frames, []), "0 rows where the campaign has 2"),
    ],
)
def test_a_damaged_shard_is_made_again(
    campaign: Campaign, results: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(results / "starts/mmff94/0001.extxyz")
    found = unfit(campaign, results, "starts/mmff94")
    assert list(found) == ["0001"]
    assert reason in found["0001"]


def test_what_a_reader_refused_is_made_again_and_kept_aside(
    campaign: Campaign, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = results / "starts/mmff94/0000.extxyz"
    whole = frames.read_bytes()
    frames.write_bytes(whole.replace(b"0.", b"1.", 1))
    assert unfit(campaign, results, "starts/mmff94") == {}, "of the same size: known on reading alone"
    with pytest.raises(ShardError, match="changed since it was written"):
        read_shard(frames)
    shards = Sharding(campaign.molecules, campaign.shard_size, results).shards
    (shard,) = [each for each in unfit_shards(campaign, results, shards) if each.frames == frames]

    assert told([shard]) == {str(frames)}
    assert "0000.extxyz: not a whole shard (changed since" in capsys.readouterr().err
    move_aside([shard])
    assert not frames.exists() and not table_path(frames).exists() and not refusal_path(frames).exists()
    assert len(list(frames.parent.glob("moved-aside/*/0000.*"))) == 2


def test_rows_of_other_settings_are_named_with_their_hours(campaign: Campaign, results: Path) -> None:
    assert 'engine "instant", not "tblite"' in unfit(campaign, results, "relaxed/gfn2/mmff94")["0000"]
    frames = results / "relaxed/gfn2/mmff94/0000.extxyz"
    level = Level(engine="tblite", method="GFN2-xTB")
    for fmax, n_unfit in ((0.03, 2), (0.001, 3)):
        text = json.dumps(Relaxation(**level.model_dump(), fmax=fmax).settings())
        write_shard(frames, [replace(row, settings=text, wall_s=1800) for row in read_shard(frames)])
        found = unfit(campaign, results, "relaxed/gfn2/mmff94")
        assert len(found) == n_unfit
    assert "made with fmax_ev_ang 0.001, not 0.03 (2 rows, 1.00 h); it is moved aside" in found["0000"]
