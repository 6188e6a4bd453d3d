"""A campaign's status from its files, damaged ones among them, and failures that are tried again."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from prerelax.campaign.config import Campaign
from prerelax.campaign.plan import make_plan
from prerelax.campaign.retry import retry, retry_text
from prerelax.campaign.stages import finished_shards, read_campaign, stages
from prerelax.campaign.status import campaign_status, expected_end_s, status_json, status_text
from prerelax.errors import MissingProgramError, UserError
from prerelax.records.shard import read_shard, table_path
from prerelax.relaxation.journal import Journal, journal_path
from prerelax.relaxation.settings import Only
from prerelax.relaxation.shard import shard_without_program

Run = Callable[..., dict[str, int]]
RELAXED = "results/springs/relaxed/gfn2/mmff94"


def relaxed_status(campaign: Campaign, folder: Path) -> Any:
    return campaign_status(campaign, folder).stages[-1]


def test_status_counts_what_the_files_say(campaign: Campaign, run_stages: Run, tmp_path: Path) -> None:
    run_stages("fails", n_shards=2)
    status = campaign_status(campaign, tmp_path)
    assert (status.n_molecules, status.n_shards) == (5, 3)
    relaxed = status.stages[-1]
    assert (relaxed.n_finished, relaxed.n_begun, relaxed.n_rows) == (2, 0, 4)
    assert relaxed.statuses == {"ok": 2, "scf_failed": 2}
    text = status_text(status)
    assert "failed by the end of relaxed/gfn2/mmff94: 2 scf_failed" in text
    assert "expected end: in" in text
    run_stages("fails")
    assert expected_end_s(campaign_status(campaign, tmp_path)) == 0
    assert "comparison and figures are left" in status_text(campaign_status(campaign, tmp_path))
    assert json.loads(status_json(status))["stages"][-1]["statuses"] == {"ok": 2, "scf_failed": 2}


def test_expected_end_is_work_left_over_work_an_hour(
    campaign: Campaign, run_stages: Run, tmp_path: Path
) -> None:
    run_stages(n_shards=2)
    for table in (tmp_path / "results").rglob("*.parquet"):
        os.utime(table, (1_000_000, 1_000_000))
    status = campaign_status(campaign, tmp_path, now=1_000_000 + 100)
    # One of three shards is left at every stage, and two were done within the 100 s before.
    assert expected_end_s(status) == pytest.approx(100 * (5 / 3) / 4, rel=0.01)
    costly = status.stages[-1]
    costly.statuses.clear()
    status.seconds_per_row[costly.stage.name] = 1000.0
    assert expected_end_s(status) is None, "nothing is known of what takes the time"
    long_ago = campaign_status(campaign, tmp_path, now=1_000_000 + 7200)
    assert expected_end_s(long_ago) is None
    assert "no expected end" in status_text(long_ago)


def test_a_running_shard_is_counted_by_its_journal(
    campaign: Campaign, run_stages: Run, tmp_path: Path
) -> None:
    run_stages()
    shard = tmp_path / RELAXED / "0000.extxyz"
    shard.unlink()
    table_path(shard).unlink()
    with journal_path(shard).open("ab") as journal:
        journal.write(b'{"key": "' + b"0" * 64 + b'", "result": {"status": "o')  # a write that is under way
    relaxed = relaxed_status(campaign, tmp_path)
    assert (relaxed.n_finished, relaxed.n_begun, relaxed.n_in_journals) == (2, 1, 2)


@pytest.mark.parametrize("damage", [b"", b"PAR1 and then nothing", None])
def test_a_damaged_table_is_a_sentence(
    campaign: Campaign, run_stages: Run, tmp_path: Path, damage: bytes | None
) -> None:
    run_stages()
    table = table_path(tmp_path / RELAXED / "0001.extxyz")
    table.unlink()
    if damage is not None:
        table.write_bytes(damage)
    relaxed = relaxed_status(campaign, tmp_path)
    assert relaxed.n_rows == 3
    assert len(relaxed.damaged) == 1 and str(table) in relaxed.damaged[0]
    assert str(table) in status_text(campaign_status(campaign, tmp_path))


def test_only_the_chosen_failures_are_computed_again(
    campaign: Campaign, run_stages: Run, tmp_path: Path
) -> None:
    assert run_stages("fails") == {"0000": 2, "0001": 2, "0002": 1}
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / RELAXED).glob("*.extxyz")}
    said = retry(campaign, tmp_path, ["scf_failed"], dry_run=True)
    assert [(each.n_molecules, each.n_shards) for each in said] == [(2, 2)]
    assert {path: path.stat().st_mtime_ns for path in before} == before

    retried = retry(campaign, tmp_path, ["scf_failed"])
    assert "2 molecules in 2 shards" in retry_text(retried, False)
    assert finished_shards(tmp_path / "results/springs", stages(campaign)[-1], 3) == [2]
    assert run_stages("fails") == {"0000": 1, "0001": 1}
    rows = [read_shard(tmp_path / RELAXED / f"{n:04d}.extxyz") for n in range(3)]
    assert [row.status for shard in rows for row in shard] == ["ok", "scf_failed", "ok", "scf_failed", "ok"]


def test_what_was_made_from_a_start_goes_with_it(tmp_path: Path, campaign: Campaign, run_stages: Run) -> None:
    config = campaign.model_dump(by_alias=True)
    gfn2 = {"kind": "relax", "from": "mmff94", "engine": "tblite", "method": "GFN2-xTB"}
    uff = {"kind": "forcefield", "from": "gfn2", "method": "uff"}
    campaign = Campaign.model_validate(config | {"starts": config["starts"] | {"gfn2": gfn2, "uff": uff}})
    run_stages("fails")
    results = tmp_path / "results/springs"
    for stage in ("starts/gfn2", "starts/uff", "relaxed/gfn2/gfn2", "relaxed/gfn2/uff"):
        shutil.copytree(tmp_path / RELAXED, results / stage)
    (results / "comparison.csv").write_text("")
    retry(campaign, tmp_path, ["scf_failed"], start="gfn2", target=None)
    left = {str(path.relative_to(results).parent) for path in results.rglob("0000.extxyz")}
    assert left == {"molecules", "starts/mmff94", "relaxed/gfn2/mmff94"}
    assert not (results / "comparison.csv").exists()
    assert (results / "relaxed/gfn2/uff/0002.extxyz").is_file()


def test_a_retry_that_was_cut_short_is_taken_up(campaign: Campaign, run_stages: Run, tmp_path: Path) -> None:
    run_stages("fails")
    shard = tmp_path / RELAXED / "0000.extxyz"
    with Journal(journal_path(shard)) as journal:  # marked, but the shard not yet handed back
        journal.retry([k for k, result in journal.entries().items() if result["status"] == "scf_failed"])
    retry(campaign, tmp_path, ["scf_failed"])
    assert not shard.is_file()
    assert run_stages("fails") == {"0000": 1, "0001": 1}


def test_a_shard_at_work_and_one_without_journal_are_left_alone(
    campaign: Campaign, run_stages: Run, tmp_path: Path
) -> None:
    run_stages("fails")
    folder = tmp_path / RELAXED
    journal_path(folder / "0001.extxyz").unlink()
    with Journal(journal_path(folder / "0000.extxyz")):
        (retried,) = retry(campaign, tmp_path, ["scf_failed"])
    assert retried.n_molecules == 0
    assert len(retried.notes) == 2
    assert "another job works on this shard" in retried.notes[0]
    assert "has no journal" in retried.notes[1]
    assert (folder / "0000.extxyz").is_file() and (folder / "0001.extxyz").is_file()


def test_what_a_missing_program_left_is_handed_back(
    campaign: Campaign, run_stages: Run, tmp_path: Path
) -> None:
    run_stages()
    shard = tmp_path / RELAXED / "0001.extxyz"
    journal_path(shard).unlink()
    missing = MissingProgramError("the program orca is not installed here")
    start = tmp_path / "results/springs/starts/mmff94/0001.extxyz"
    shard_without_program(start, shard, target="gfn2", only=Only(), error=missing)
    (retried,) = retry(campaign, tmp_path, ["resource_error"])
    assert (retried.n_molecules, retried.n_shards, retried.notes) == (2, 1, [])
    assert run_stages() == {"0001": 2}


def test_damaged_tables_and_torn_journals_do_not_stop_a_retry(
    campaign: Campaign, run_stages: Run, tmp_path: Path
) -> None:
    run_stages("fails")
    shard = tmp_path / RELAXED / "0000.extxyz"
    table_path(shard).write_bytes(b"PAR1")
    with journal_path(shard).open("ab") as journal:
        journal.write(b'{"key": "0')
    (retried,) = retry(campaign, tmp_path, ["scf_failed"])
    assert (retried.n_molecules, retried.n_shards, retried.notes) == (2, 2, [])
    make_plan(campaign, tmp_path)
    assert run_stages("fails") == {"0000": 1, "0001": 1}


@pytest.mark.parametrize(
    ("statuses", "options", "sentence"),
    [
        (["scf_faild"], {}, "did you mean scf_failed"),
        (["skipped"], {}, "no relaxation ends with"),
        ([], {}, "say which statuses"),
        (["timeout"], {"target": "gfn1"}, "unknown target 'gfn1'"),
        (["timeout"], {"start": "mmff49"}, "did you mean mmff94"),
        (["timeout"], {}, "no results yet"),
    ],
)
def test_wrong_retries_are_one_sentence(
    campaign: Campaign, tmp_path: Path, statuses: list[str], options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        retry(campaign, tmp_path, statuses, **options)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file"),
        ("campaign: [", "not YAML"),
        ("just words", "must be a mapping of keys"),
        ("campaign: x\nmolecules: m.csv\nshardsize: 3\n", "did you mean shard_size"),
        (b"\xff\xfe\x00", "not YAML"),
    ],
)
@pytest.mark.parametrize("verb", [["plan"], ["status"], ["retry", "--status", "timeout"]])
def test_a_wrong_config_is_one_sentence(
    tmp_path: Path, content: str | bytes | None, sentence: str, verb: list[str]
) -> None:
    from prerelax.cli import app

    path = tmp_path / "c.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=sentence):
        read_campaign(path)
    result = CliRunner().invoke(app, [verb[0], str(path), *verb[1:]])
    assert isinstance(result.exception, UserError)  # which `main` prints, with exit status 2
    assert sentence in str(result.exception)
