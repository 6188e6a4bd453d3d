"""What is left of memory inside a job's control group."""

from pathlib import Path

import pytest

from prerelax.engines.memory import _cgroup_mb


@pytest.mark.parametrize(
    ("line", "folder", "limit", "used"),
    [
        ("0::/slurm/job_1", "slurm/job_1", "memory.max", "memory.current"),
        (
            "4:memory:/slurm/job_1",
            "memory/slurm/job_1",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_the_limit_of_a_job_is_seen(tmp_path: Path, line: str, folder: str, limit: str, used: str) -> None:
    (tmp_path / "cgroup").write_text(f"3:cpuset:/other\n{line}\n")
    group = tmp_path / "sys" / folder
    group.mkdir(parents=True)
    (group / limit).write_text("4000000000\n")
    (group / used).write_text("1500000000\n")
    (group.parent / limit).write_text("max\n")
    assert _cgroup_mb(tmp_path / "sys", tmp_path / "cgroup") == [2500.0]
