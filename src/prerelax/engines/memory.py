"""How much memory this process may still take."""

import resource
from pathlib import Path

_MOUNTED, _OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_VERSION_1 = "memory.limit_in_bytes", "memory.usage_in_bytes"
_VERSION_2 = "memory.max", "memory.current"


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


def _cgroup_mb(mounted: Path = _MOUNTED, of_process: Path = _OF_PROCESS) -> list[float]:
    """What each control group above this process has left, SLURM's among them; version 1 or 2."""
    try:
        lines = of_process.read_text().splitlines()
    except OSError:
        return []
    found = []
    for _, controllers, own in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers and "memory" not in controllers.split(","):
            continue
        top = mounted / "memory" if controllers else mounted
        limit, used = _VERSION_1 if controllers else _VERSION_2
        folder = top / own.lstrip("/")
        while folder.is_relative_to(top):
            try:
                left = float((folder / limit).read_text()) - float((folder / used).read_text())
                found.append(left / 1e6)
            except (OSError, ValueError):  # no such group here, or no limit: "max"
                pass
            folder = folder.parent
    return found
