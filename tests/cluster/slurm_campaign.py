"""A campaign run through `snakemake --profile` on the test cluster, and what SLURM says of its jobs."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from prerelax.records.shard import read_shard

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
SLURM = HERE / "slurm.sh"

MOLECULES = """id,smiles
methanol,CO
formaldehyde,C=O
000123,CC=O
broken,C1CC
ethane,CC
water,O
ethene,C=C
methylamine,CN
acetylene,C#C
"""
CONFIG: dict[str, Any] = {
    "campaign": "tiny",
    "molecules": "molecules.csv",
    "shard_size": 9,
    "starts": {"mmff94": {"kind": "forcefield"}},
    "targets": {"gfn2": {"engine": "tblite", "method": "GFN2-xTB"}},
}
SHARD = "results/tiny/relaxed/gfn2/mmff94/0000.extxyz"
FORMULAS = {"CH4O", "CH2O", "C2H4O", "C2H6", "H2O", "C2H4", "CH5N", "C2H2"}


def slurm(*arguments: str) -> str:
    """A SLURM client's standard output."""
    return subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60).stdout


def control(*arguments: str) -> None:
    """Let tests/cluster/slurm.sh stop or start a daemon."""
    subprocess.run([SLURM, *arguments], check=True, timeout=60, stdout=subprocess.DEVNULL)


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of the condition."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.3)
    raise AssertionError(f"{what}: not within {seconds:g} s")


@dataclass
class Cluster:
    """A campaign in a folder of its own, run through `snakemake --profile`."""

    folder: Path
    profile: dict[str, Any]
    environment: dict[str, str]
    config: dict[str, Any] = field(default_factory=lambda: dict(CONFIG))
    _main: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> str:
        path = self.folder / "snakemake.log"
        return path.read_text() if path.exists() else ""

    @property
    def relaxation_log(self) -> str:
        path = self.folder / "results/tiny/logs/relax_xtb/gfn2/mmff94/0000.log"
        return path.read_text() if path.exists() else ""  # Snakemake takes it away when it submits again

    @property
    def begun(self) -> "Counter[str]":
        """How often the relaxation of each molecule was begun, by formula."""
        path = self.folder / "engine.log"
        return (
            Counter(line.split()[0] for line in path.read_text().splitlines()) if path.exists() else Counter()
        )

    @property
    def jobs(self) -> list[str]:
        """SLURM's numbers of all jobs submitted, in order."""
        return re.findall(r"has been submitted with SLURM jobid (\d+)", self.log)

    def states(self) -> dict[str, str]:
        """What SLURM says of every job submitted."""
        lines = [
            line.split()
            for line in slurm("squeue", "--noheader", "--states=all", "--format=%i %T").splitlines()
        ]
        return {job: state for job, state in lines if job in self.jobs}

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        profile = self.folder / "profile"
        profile.mkdir(exist_ok=True)
        (profile / "config.yaml").write_text(yaml.safe_dump(self.profile))
        (self.folder / "campaign.yaml").write_text(yaml.safe_dump(self.config))
        command = [Path(sys.executable).parent / "snakemake", "--snakefile", REPOSITORY / "Snakefile"]
        command += ["--configfile", "campaign.yaml", "--profile", profile, *arguments]
        with (self.folder / "snakemake.log").open("ab") as log:
            self._main = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._main

    def finish(self, seconds: float = 300) -> int:
        """Snakemake's exit status."""
        assert self._main is not None
        try:
            return self._main.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end()
            raise AssertionError(
                f"Snakemake has not ended after {seconds:g} s:\n{self.log[-3000:]}"
            ) from None

    def run(self, *arguments: str, seconds: float = 300) -> int:
        self.start(*arguments)
        return self.finish(seconds)

    def end(self) -> None:
        if self._main is not None and self._main.poll() is None:
            os.killpg(self._main.pid, signal.SIGKILL)
            self._main.wait()

    def rows(self) -> "Counter[str]":
        """Statuses of the finished shard, which is whole; every molecule has exactly one row, in order."""
        read_shard(self.folder / SHARD)
        assert Counter(self.jobs).total() == len(set(self.jobs)), "every submission has a number of its own"
        table = pd.read_parquet((self.folder / SHARD).with_suffix(".parquet"))
        assert list(table.id) == [line.split(",")[0] for line in MOLECULES.splitlines()[1:]]
        return Counter(table.status)

    def wait_for_relaxations(self, number: int, seconds: float = 60) -> str:
        """The number of the SLURM job that runs once so many relaxations were begun."""
        wait_for(lambda: sum(self.begun.values()) >= number, seconds, f"{number} relaxations begun")
        return self.jobs[-1]


SITE = {"cpu_partition": "cpu", "gpu_partition": "gpu", "node_cores": 2, "node_mem_mb": 3000}
"""What a user of the test cluster edits in the profile's head."""


def cluster_profile() -> dict[str, Any]:
    """The shipped profile, sized for the test cluster and looking at the queue as often as the plugin can."""
    profile = yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text())
    profile["__variables__"] |= SITE
    profile |= {"latency-wait": 10, "slurm-init-seconds-before-status-checks": 5}
    profile["default-resources"]["mem_mb"] = 1200
    for rule in ("diffuse", "prerelax_xtb", "relax_xtb", "relax_dft"):
        profile["set-resources"].setdefault(rule, {})["mem_mb"] = 1200
        profile["set-threads"][rule] = 1
    return profile


def job_environment(folder: Path) -> dict[str, str]:
    """Of Snakemake and, through sbatch, of its jobs; nothing of an activated environment is left."""
    foreign = ("VIRTUAL_ENV", "SNAKEMAKE_PROFILE", "PYTHONPATH")
    return {k: v for k, v in os.environ.items() if k not in foreign} | {
        "PATH": f"{REPOSITORY / 'slurm/without-slurmdbd'}:/usr/local/bin:/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{HERE / 'slow_engine'}:{REPOSITORY / 'src'}",
        "ENGINE_LOG": str(folder / "engine.log"),
    }


def snakemake_locally(folder: Path, config: dict[str, Any], cores: int = 1) -> None:
    """The campaign run to its end in `folder` on this machine without SLURM."""
    (folder / "campaign.yaml").write_text(yaml.safe_dump(config))
    command = [Path(sys.executable).parent / "snakemake", "--snakefile", REPOSITORY / "Snakefile"]
    command += ["--configfile", "campaign.yaml", "--cores", cores, "--quiet"]
    subprocess.run([str(word) for word in command], cwd=folder, check=True, capture_output=True)
