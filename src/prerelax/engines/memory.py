"""How much memory this process may still take."""

import resource
from pathlib import Path


def available_mb() -> float:
    """The least of what the machine has free, the job's cgroup allows and the process limit leaves, in MB."""
    limits = [_free_mb(), *_cgroup_mb()]
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space / 1e6 - _own_mb())
    return min(limits)


def _own_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / 1e6


def _free_mb() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # no Linux: assume that there is enough, the engine says when there is not
        return float("inf")
    fields = {line.split(":")[0]: float(line.split()[1]) for line in lines}
    return fields.get("MemAvailable", float("inf")) * 1.024e-3


def _cgroup_mb() -> list[float]:
    """What each version 2 control group above this process has left, SLURM's among them."""
    try:
        own = Path("/proc/self/cgroup").read_text().strip().rsplit("::", 1)[-1]
    except OSError:
        return []
    found = []
    folder = Path("/sys/fs/cgroup") / own.lstrip("/")
    while folder.is_relative_to("/sys/fs/cgroup"):
        try:
            limit = (folder / "memory.max").read_text().strip()
            used = (folder / "memory.current").read_text().strip()
        except OSError:
            limit = "max"
        if limit != "max":
            found.append((float(limit) - float(used)) / 1e6)
        folder = folder.parent
    return found
