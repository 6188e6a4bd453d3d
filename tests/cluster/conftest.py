"""Campaigns on a real SLURM: tests/cluster/slurm.sh starts it, `make test-cluster` does everything."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slurm_campaign import CONFIG, MOLECULES, Cluster, cluster_profile, job_environment, snakemake_locally


@pytest.fixture(scope="session", autouse=True)
def cluster_is_up() -> None:
    if (
        shutil.which("squeue") is None
        or subprocess.run(["squeue"], capture_output=True, timeout=60).returncode
    ):
        pytest.skip("no test cluster is up; `make test-cluster` starts one")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return job_environment(tmp_path)


@pytest.fixture
def profile() -> dict[str, Any]:
    return cluster_profile()


@pytest.fixture
def cluster(tmp_path: Path, environment: dict[str, str], profile: dict[str, Any]) -> Iterator[Cluster]:
    """A campaign of nine molecules in one shard, not begun yet."""
    (tmp_path / "molecules.csv").write_text(MOLECULES)
    cluster = Cluster(tmp_path, profile, environment)
    yield cluster
    cluster.end()
    for job in cluster.jobs:
        subprocess.run(["scancel", job], capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same campaign run to its end without SLURM, once for all processes of tests/cluster/run."""
    shared = os.environ.get("PRERELAX_TEST_LOCAL")
    folder = Path(shared) if shared else tmp_path_factory.mktemp("local")
    done = folder / "done"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            (folder / "molecules.csv").write_text(MOLECULES)
            snakemake_locally(folder, CONFIG)
            done.touch()
    return folder


@pytest.fixture
def ready(cluster: Cluster, finished: Path) -> Cluster:
    """The campaign with its starts made, so that only the relaxations are left to do."""
    for part in ("molecules", "starts"):
        shutil.copytree(finished / "results/tiny" / part, cluster.folder / "results/tiny" / part)
    os.utime(cluster.folder / "molecules.csv", (0, 0))
    return cluster
