"""Jobs that are cancelled, killed or starved on a real SLURM: nothing is computed twice, nothing is lost."""

import os
import shutil
import signal
import subprocess

import pytest
import yaml
from slurm_campaign import FORMULAS, SHARD, Cluster, slurm, wait_for

from prerelax.records.shard import read_shard

pytestmark = pytest.mark.cluster

ALL_ROWS = {"ok": len(FORMULAS), "input_error": 1}


def assert_only_repeated(cluster: Cluster, repeated: int) -> None:
    """Every molecule was relaxed, and at most so many of them were begun a second time."""
    assert set(cluster.begun) == FORMULAS
    assert sum(cluster.begun.values()) - len(FORMULAS) <= repeated, cluster.begun


def test_a_cancelled_job_is_resumed(ready: Cluster) -> None:
    ready.environment["ENGINE_DELAY_S"] = "0.4"
    ready.start(SHARD)
    slurm("scancel", ready.wait_for_relaxations(4))
    assert ready.finish() == 0, ready.log
    assert "SLURM status is: 'CANCELLED'" in ready.log
    assert [ready.states()[job] for job in ready.jobs] == ["CANCELLED", "COMPLETED"]
    assert_only_repeated(ready, 1)
    assert ready.rows() == ALL_ROWS


@pytest.mark.slow
def test_a_config_edited_while_a_job_waits_changes_nothing(ready: Cluster) -> None:
    ready.start(SHARD)
    wait_for(lambda: "Job stats" in ready.log, 60, "the jobs planned")
    edited = {**ready.config, "targets": {"gfn2": {**ready.config["targets"]["gfn2"], "fmax": 0.5}}}
    (ready.folder / "campaign.yaml").write_text(yaml.safe_dump(edited))
    assert ready.finish() == 0, ready.log
    rows = [row for row in read_shard(ready.folder / SHARD) if row.settings]
    assert {yaml.safe_load(row.settings or "")["fmax_ev_ang"] for row in rows} == {0.03}


@pytest.mark.slow
def test_a_job_over_its_time_asks_for_more_and_resumes(ready: Cluster) -> None:
    ready.environment["ENGINE_DELAY_S"] = "2"
    ready.profile["set-resources"]["relax_xtb"]["runtime"] = "1 * attempt"
    assert ready.run(SHARD, seconds=400) == 0, ready.log
    assert "SLURM status is: 'TIMEOUT'" in ready.log
    assert "runtime=2" in ready.log
    assert_only_repeated(ready, len(ready.jobs) - 1)
    assert ready.rows() == ALL_ROWS


def test_a_job_over_its_memory_asks_for_more_and_resumes(ready: Cluster) -> None:
    ready.environment |= {"ENGINE_DELAY_S": "0.3", "ENGINE_NITROGEN_MB": "800"}
    ready.profile["set-resources"]["relax_xtb"]["mem_mb"] = "900 * attempt"
    assert ready.run(SHARD) == 0, ready.log
    assert "SLURM status is: 'FAILED'" in ready.log
    lines = [line.split() for line in slurm("squeue", "-h", "-t", "all", "--format=%i %T %m").splitlines()]
    asked = {job: (state, memory) for job, state, memory in lines}
    assert [asked[job] for job in ready.jobs] == [("FAILED", "900M"), ("COMPLETED", "1800M")]
    assert_only_repeated(ready, len(ready.jobs) - 1)
    assert ready.rows() == ALL_ROWS


def test_snakemake_killed_and_started_again_while_its_job_runs(ready: Cluster) -> None:
    hold = ready.folder / "hold"
    ready.environment |= {"ENGINE_DELAY_S": "1", "ENGINE_HOLD": str(hold)}
    main = ready.start(SHARD)
    orphan = ready.wait_for_relaxations(2)
    hold.touch()
    os.killpg(main.pid, signal.SIGKILL)
    main.wait()
    assert ready.run(SHARD) != 0
    assert "LockException" in ready.log
    assert ready.run("--unlock") == 0
    ready.start(SHARD)
    wait_for(lambda: f"SLURM job {orphan}" in ready.relaxation_log, 120, "the second job waits for the first")
    hold.unlink()
    assert ready.finish() == 0, ready.log
    assert ready.states()[orphan] == "COMPLETED"
    assert_only_repeated(ready, 0)
    assert ready.rows() == ALL_ROWS


@pytest.mark.slow
def test_a_molecule_that_crashes_its_worker_is_one_row(ready: Cluster) -> None:
    ready.environment["ENGINE_NITROGEN_SIGNAL"] = str(int(signal.SIGSEGV))
    assert ready.run(SHARD) == 0, ready.log
    assert len(ready.jobs) == 1
    assert ready.rows() == {"ok": len(FORMULAS) - 1, "input_error": 1, "unknown_error": 1}


@pytest.mark.slow
def test_a_molecule_that_gets_every_job_killed_is_one_row(ready: Cluster) -> None:
    ready.environment["ENGINE_NITROGEN_MB"] = "1500"
    ready.profile["set-resources"]["relax_xtb"]["mem_mb"] = 900
    assert ready.run(SHARD, seconds=400) == 0, ready.log
    assert_only_repeated(ready, 3)
    assert ready.rows() == {"ok": len(FORMULAS) - 1, "input_error": 1, "resource_error": 1}


@pytest.fixture
def small_disk(ready: Cluster) -> Cluster:
    """The relaxed shards go to a disk of their own."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = ready.folder / "results/tiny/relaxed"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    yield ready
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_is_a_sentence_and_costs_nothing_finished(small_disk: Cluster) -> None:
    small_disk.environment["ENGINE_DELAY_S"] = "0.4"
    small_disk.profile["retries"] = 0
    filler = small_disk.folder / "results/tiny/relaxed/filler"
    small_disk.start(SHARD)
    small_disk.wait_for_relaxations(4)
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"\0" * 4096)
    assert small_disk.finish() != 0
    words = small_disk.relaxation_log.strip().splitlines()[-1]
    assert words.startswith("prerelax: ") and "No space left on device" in words
    assert "Traceback" not in small_disk.relaxation_log
    assert words in small_disk.log, "Snakemake shows it"
    filler.unlink()
    assert small_disk.run(SHARD) == 0, small_disk.log
    assert_only_repeated(small_disk, 2)
    assert small_disk.rows() == ALL_ROWS


@pytest.mark.slow
def test_a_read_only_disk_is_a_sentence(small_disk: Cluster) -> None:
    small_disk.profile["retries"] = 0
    relaxed = small_disk.folder / "results/tiny/relaxed"
    (relaxed / "gfn2/mmff94").mkdir(parents=True)
    subprocess.run(["mount", "-o", "remount,ro", relaxed], check=True)
    assert small_disk.run(SHARD) != 0
    assert "Read-only file system: 'results/tiny/relaxed" in small_disk.log
    subprocess.run(["mount", "-o", "remount,rw", relaxed], check=True)
    assert small_disk.run(SHARD) == 0, small_disk.log
    assert small_disk.rows() == ALL_ROWS


@pytest.mark.slow
def test_files_that_become_visible_late_are_waited_for(ready: Cluster) -> None:
    ready.environment["VISIBLE_AFTER_S"] = "5"
    assert ready.run(SHARD) == 0, ready.log
    assert len(ready.jobs) == 1
    assert ready.rows() == ALL_ROWS


@pytest.mark.slow
def test_files_that_become_visible_too_late_are_not_computed_again(ready: Cluster) -> None:
    ready.environment["VISIBLE_AFTER_S"] = "8"
    ready.profile |= {"latency-wait": 1, "retries": 0}
    assert ready.run(SHARD) != 0
    assert "MissingOutputException" in ready.log
    hidden = (ready.folder / SHARD).with_name(".late-0000.extxyz")
    wait_for(lambda: not hidden.exists(), 20, "the file becomes visible")
    ready.environment.pop("VISIBLE_AFTER_S")
    assert ready.run(SHARD) == 0, ready.log
    assert_only_repeated(ready, 0)
    assert ready.rows() == ALL_ROWS


def test_a_partition_that_does_not_exist_is_a_sentence(ready: Cluster) -> None:
    ready.profile["__variables__"]["cpu_partition"] = "cpuu"
    ready.profile["retries"] = 0
    assert ready.run(SHARD) != 0
    assert "invalid partition specified: cpuu" in ready.log
    assert "Traceback" not in ready.log


@pytest.mark.slow
def test_a_changed_shard_costs_its_own_job_and_the_others_go_on(ready: Cluster) -> None:
    """The profile names no partition here: SLURM's default one is taken."""
    ready.profile["retries"] = 0
    del ready.profile["default-resources"]["slurm_partition"]
    shutil.copytree(ready.folder / "results/tiny/starts/mmff94", ready.folder / "results/tiny/starts/again")
    ready.config = {**ready.config, "starts": ready.config["starts"] | {"again": {"kind": "forcefield"}}}
    changed = ready.folder / "results/tiny/starts/again/0000.extxyz"
    changed.write_bytes(changed.read_bytes().replace(b"0.", b"1.", 1))
    wanted = (SHARD, SHARD.replace("mmff94", "again"))
    assert ready.run(*wanted) != 0
    assert "prerelax: results/tiny/starts/again/0000.extxyz: not a whole shard (changed since" in ready.log
    assert sorted(ready.states()[job] for job in ready.jobs) == ["COMPLETED", "FAILED"]
    assert ready.rows() == ALL_ROWS
    changed.write_bytes(changed.read_bytes()[:100])
    assert ready.run(*wanted) == 0, "it is named when Snakemake starts, and made again"
    assert read_shard(ready.folder / wanted[1])
