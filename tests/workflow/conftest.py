"""Snakemake run for real, each time in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def snakemake(tmp_path: Path, repository: Path) -> Run:
    """Run Snakemake on the repository's Snakefile in `tmp_path` with a config given as a dictionary."""

    def run(
        config: dict[str, Any], *arguments: str, profile: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "campaign.yaml").write_text(yaml.safe_dump(config))
        command = [Path(sys.executable).parent / "snakemake", "--snakefile", repository / "Snakefile"]
        command += ["--configfile", "campaign.yaml", *arguments]
        command += ["--profile", repository / profile] if profile else ["--cores", "2"]
        # Jobs find `prerelax` by the workflow's own means: nothing of an activated environment is left.
        environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "SNAKEMAKE_PROFILE")}
        environment["PATH"] = "/usr/local/bin:/usr/bin:/bin"
        return subprocess.run(
            list(map(str, command)),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run
