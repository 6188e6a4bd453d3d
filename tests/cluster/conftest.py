"""Campaigns on a real SLURM: tests/cluster/slurm.sh starts it, `make test-cluster` does everything."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from slurm_campaign import CONFIG, HERE, MOLECULES, REPOSITORY, Cluster

SITE = {"cpu_partition": "cpu", "gpu_partition": "gpu", "node_cores": 2, "node_mem_mb": 3000}
"""What a user of the test cluster edits in the profile's head."""


@pytest.fixture(scope="session", autouse=True)
def cluster_is_up() -> None:
    if (
        shutil.which("squeue") is None
        or subprocess.run(["squeue"], capture_output=True, timeout=60).returncode
    ):
        pytest.skip("no test cluster is up; `make test-cluster` starts one")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of Snakemake and, through sbatch, of its jobs; nothing of an activated environment is left."""
    kept = {
        k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "SNAKEMAKE_PROFILE", "PYTHONPATH")
    }
    return kept | {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{HERE / 'slow_engine'}:{REPOSITORY / 'src'}",
        "ENGINE_LOG": str(tmp_path / "engine.log"),
    }


@pytest.fixture
def profile() -> dict[str, Any]:
    """The shipped profile, sized for the test cluster and polling as fast as the plugin can."""
    profile = yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text())
    profile["__variables__"] |= SITE
    profile |= {
        "latency-wait": 10,
        "slurm-status-command": "squeue",  # there is no accounting
        "slurm-init-seconds-before-status-checks": 5,
    }
    profile["default-resources"]["mem_mb"] = 1200
    for rule in ("diffuse", "prerelax_xtb", "relax_xtb", "relax_dft"):
        profile["set-resources"][rule]["mem_mb"] = 1200
        profile["set-threads"][rule] = 1
    return profile


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
    """The same campaign run to its end on this machine without SLURM."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "molecules.csv").write_text(MOLECULES)
    (folder / "campaign.yaml").write_text(yaml.safe_dump(CONFIG))
    command = [Path(sys.executable).parent / "snakemake", "--snakefile", REPOSITORY / "Snakefile"]
    command += ["--configfile", "campaign.yaml", "--cores", "1", "--quiet"]
    subprocess.run([str(word) for word in command], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def ready(cluster: Cluster, finished: Path) -> Cluster:
    """The campaign with its starts made, so that only the relaxations are left to do."""
    for part in ("molecules", "starts"):
        shutil.copytree(finished / "results/tiny" / part, cluster.folder / "results/tiny" / part)
    os.utime(cluster.folder / "molecules.csv", (0, 0))
    return cluster
