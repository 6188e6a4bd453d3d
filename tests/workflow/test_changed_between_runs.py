"""A campaign whose config or molecules change between its runs, and one that is asked to end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_kills import begun, comparison

from prerelax.campaign.config import load_campaign
from prerelax.comparison.verification import verify
from prerelax.records.shard import read_shard

MOLECULES = ["methanol,CO", "ethane,CC", "water,O", "ammonia,N"]
CONFIG: dict[str, Any] = {
    "campaign": "c",
    "molecules": "molecules.csv",
    "shard_size": 2,
    "starts": {"mmff94": {"kind": "forcefield"}},
    "targets": {"gfn1": {"engine": "tblite", "method": "GFN1-xTB"}},
}

COMMAND = [str(Path(sys.executable).parent / "prerelax"), "relax"]
LEVEL = ["--engine", "tblite", "--method", "GFN1-xTB", "--optimizer", "bfgs", "--fmax", "0.001"]


@pytest.mark.slow
def test_what_changes_is_made_again_and_nothing_else(
    tmp_path: Path, snakemake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results/c"
    monkeypatch.chdir(tmp_path)
    molecules = list(MOLECULES)

    def run(**changes: Any) -> str:
        (tmp_path / "molecules.csv").write_text("id,smiles\n" + "\n".join(molecules) + "\n")
        config = {**CONFIG, **changes}
        done = snakemake(config, "--nocolor", "results/c/comparison.csv")
        assert done.returncode == 0, done.stderr
        assert verify(load_campaign(config), Path(), 1).problems == []
        ids = pd.read_csv(results / "comparison.csv", keep_default_na=False)["id"].tolist()
        assert ids == [line.split(",")[0] for line in molecules for _ in range(config.get("conformers", 1))]
        said: str = done.stderr
        return said

    run()
    first = results / "relaxed/gfn1/mmff94/0000.extxyz"
    made = first.stat().st_mtime_ns
    assert "rule embed" not in run(shard_size=3), "shards that were begun stay"
    molecules.append("ethene,C=C")
    added = run(shard_size=3)
    assert "moved aside" not in added and "embed             1" in added
    assert first.stat().st_mtime_ns == made
    seeded = run(seed=7)
    assert seeded.count("made with seed 42, not 7 (") == 3
    molecules.reverse()
    reordered = run(seed=7)
    assert "embed             3" in reordered
    several = run(seed=7, conformers=2)
    assert "0000.extxyz: 2 rows where the campaign has 4; it is moved aside and made again" in several


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_snakemake_that_is_asked_to_end_leaves_nothing_to_unlock(
    tmp_path: Path, repository: Path, number: signal.Signals
) -> None:
    """The signal reaches the main process alone, as from a batch system or a `kill`."""
    whole, asked = tmp_path / "whole", tmp_path / "asked"
    for folder in (whole, asked):
        folder.mkdir()
    assert begun(whole, repository).wait() == 0, (whole / "said.txt").read_text()
    run = begun(asked, repository)
    deadline = time.monotonic() + 300
    while not list(asked.rglob("*.journal.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(run.pid, number)
    assert run.wait(120) != 0
    assert not list(asked.glob(".snakemake/locks/*"))
    again = begun(asked, repository)
    assert again.wait() == 0, (asked / "said.txt").read_text()[-3000:]
    pd.testing.assert_frame_equal(comparison(asked), comparison(whole))


@pytest.mark.slow
def test_two_snakemakes_on_one_results_folder_make_it_once(tmp_path: Path, repository: Path) -> None:
    """From folders of their own, as two people may have; Snakemake's lock is not the same then."""
    (tmp_path / "shared").mkdir()
    runs = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "results").symlink_to(tmp_path / "shared")
        runs.append(begun(folder, repository))
    assert [run.wait() for run in runs] == [0, 0], (tmp_path / "two/said.txt").read_text()[-3000:]
    assert not list((tmp_path / "shared").rglob("*.refused"))
    again = begun(tmp_path / "one", repository)
    assert again.wait() == 0
    lines = [
        line for path in (tmp_path / "shared").rglob("*.jsonl") for line in path.read_text().splitlines()
    ]
    keys = [line.split('"')[3] for line in lines if line.startswith('{"key"')]
    assert len(keys) == len(set(keys)), "no molecule was relaxed twice"


@pytest.mark.slow
def test_without_locks_two_jobs_do_the_same_and_the_shard_is_whole(tmp_path: Path, repository: Path) -> None:
    """flock answers ENOLCK, as on filesystems without locks; a library in its place says so."""
    source, library = tmp_path / "nolock.c", tmp_path / "nolock.so"
    source.write_text("#include <errno.h>\nint flock(int fd, int how) { errno = ENOLCK; return -1; }\n")
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no C compiler")
    folder = tmp_path / "run"
    folder.mkdir()
    assert begun(folder, repository).wait() == 0
    relaxed = folder / "results/c/relaxed/gfn1/mmff94"
    before = [(row.id, row.energy_ev) for row in read_shard(relaxed / "0000.extxyz")]
    for path in relaxed.iterdir():
        path.unlink()
    jobs = [
        subprocess.Popen(
            [*COMMAND, "results/c/starts/mmff94/0000.extxyz", relaxed / "0000.extxyz", *LEVEL],
            cwd=folder,
            env=os.environ | {"LD_PRELOAD": str(library)},
        )
        for _ in range(2)
    ]
    assert [job.wait() for job in jobs] == [0, 0]
    after = read_shard(relaxed / "0000.extxyz")
    assert [(row.id, pytest.approx(row.energy_ev, abs=1e-6)) for row in after] == before
