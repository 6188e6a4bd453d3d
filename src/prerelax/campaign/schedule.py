"""When a campaign would end on given machines: its jobs dealt out one after the other, as Snakemake does."""

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Job:
    """One job: `seconds` on `cores` cores, and on a GPU where it wants one and there are any."""

    seconds: float
    cores: int
    after: Sequence[int] = field(default=())
    """places of the jobs that have to end before, in the list of all jobs"""
    wants_gpu: bool = False


@dataclass(frozen=True)
class Machines:
    """What a campaign may use at once."""

    cores: int
    gpus: int = 0
    jobs: int = 200


def finishing_time_s(jobs: Sequence[Job], machines: Machines) -> float:
    """Seconds until the last job ends, every one begun as soon as it may and fits, in the list's order.

    A job with more cores than there are takes all of them, and as many times longer.
    """
    return max(_ends(jobs, machines), default=0.0)


def _ends(jobs: Sequence[Job], machines: Machines) -> Iterable[float]:
    awaited = [len(job.after) for job in jobs]
    followers: list[list[int]] = [[] for _ in jobs]
    for place, job in enumerate(jobs):
        for earlier in job.after:
            followers[earlier].append(place)
    ready: dict[tuple[int, bool], deque[int]] = {}
    free_cores, free_gpus = machines.cores, machines.gpus
    running: list[tuple[float, int, int, bool]] = []
    for place, number in enumerate(awaited):
        if number == 0:
            _queue(ready, jobs[place], machines).append(place)
    now = 0.0
    while running or any(ready.values()):
        for (cores, gpu), queue in ready.items():
            while queue and cores <= free_cores and gpu <= free_gpus and len(running) < machines.jobs:
                place = queue.popleft()
                slower = max(1.0, jobs[place].cores / cores)
                heapq.heappush(running, (now + jobs[place].seconds * slower, place, cores, gpu))
                free_cores, free_gpus = free_cores - cores, free_gpus - gpu
        now, done, cores, gpu = heapq.heappop(running)
        free_cores, free_gpus = free_cores + cores, free_gpus + gpu
        yield now
        for place in followers[done]:
            awaited[place] -= 1
            if awaited[place] == 0:
                _queue(ready, jobs[place], machines).append(place)


def _queue(ready: dict[tuple[int, bool], deque[int]], job: Job, machines: Machines) -> deque[int]:
    """Jobs that want the same wait in one line."""
    kind = (min(job.cores, machines.cores), job.wants_gpu and machines.gpus > 0)
    return ready.setdefault(kind, deque())
