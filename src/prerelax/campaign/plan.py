"""What a campaign will cost before it runs: jobs, files, core hours, the end; and shards of equal cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.campaign.config import Campaign
from prerelax.campaign.cost import GRADIENTS, Cost, PowerLaw, costs, gradient_law
from prerelax.campaign.layout import Layout
from prerelax.campaign.molecule_file import make_molecule_file
from prerelax.campaign.requests import Requests, write_requests
from prerelax.campaign.schedule import Job, Machines, finishing_time_s
from prerelax.campaign.sharding import Shard, Sharding, row_digests, write_shards
from prerelax.campaign.sizes import Sizes, sizes_of_input
from prerelax.campaign.stages import Stage, finished_shards, stages
from prerelax.campaign.starts import DiffuseStart
from prerelax.denoisers.model_folders import WEIGHTS
from prerelax.errors import several

Floats = NDArray[np.float64]

THREADS = {
    "diffuse": 2,
    "sample_conformers": 2,
    "prerelax_xtb": 2,
    "relax_xtb": 2,
    "relax_dft": 2,
    "single_points": 2,
    "train": 2,
}
"""Of the rules, where no profile says otherwise; one for the others."""
JOB_START_S = 15.0
"""Of every job: scheduler, Snakemake, imports."""
REQUESTED_PER_FITTED, REQUESTED_PER_GUESSED = 1.5, 3.0
"""Minutes asked for, as multiples of the estimate."""
FEWEST_MINUTES = 5
NOT_RESUMABLE_MINUTES = 20.0
"""Wanted of jobs that begin from nothing when they are killed."""
KEPT_SHARE = 0.4
"""Of conformers, those that are different and within 3 kcal/mol: 198 of 500 in docs/results/conformers.md."""
ELECTRONS_PER_HEAVY_ATOM = 7.5
"""Of an organic molecule, its hydrogens included."""
MOST_ROWS = 20_000
"""Of a shard, so that files stay handy."""


@dataclass(frozen=True)
class StagePlan:
    """One stage of the plan; arrays are [n_shards], of all shards."""

    stage: Stage
    cost: Cost
    threads: int
    core_s: Floats
    longest_s: Floats
    """of the costliest molecule"""
    to_do: NDArray[np.bool_]
    mem_mb: int

    @property
    def job_s(self) -> Floats:
        """Seconds of a job; its workers end together, or wait for the costliest molecule."""
        workers = self.threads if self.stage.has_journal or self.stage.kind == "diffuse" else 1
        return np.maximum(self.core_s / workers, self.longest_s) + JOB_START_S

    @property
    def minutes(self) -> list[int]:
        """What to ask for, for each shard."""
        guessed = self.cost.source == "first guess"
        margin = REQUESTED_PER_GUESSED if guessed else REQUESTED_PER_FITTED
        return [max(FEWEST_MINUTES, math.ceil(margin * s / 60)) for s in self.job_s.tolist()]


@dataclass(frozen=True)
class Plan:
    """A campaign's shards and what each stage of them costs."""

    campaign: Campaign
    results: Path
    shards: list[Shard]
    stages: list[StagePlan]

    @property
    def n_rows(self) -> int:
        return self.shards[-1].last if self.shards else 0


def make_plan(
    campaign: Campaign,
    directory: Path = Path(),
    *,
    wanted_minutes: float | None = None,
    threads: Mapping[str, int] | None = None,
    timed: Mapping[tuple[str, str], PowerLaw] | None = None,
) -> Plan:
    """The plan of a campaign run in `directory`.

    With `wanted_minutes` its shards are filled so that no job of any stage lasts longer than that by the
    estimate (`threads` by rule), shards that have been begun excepted; without it they are those of
    `shard_size` or of an earlier plan. `timed`: see `costs`. Raises UserError for an unusable input.
    """
    results = directory / "results" / campaign.campaign
    make_molecule_file(campaign, directory)
    sharding = Sharding(directory / campaign.molecule_file, campaign.shard_size, results)
    known = sharding.shards
    every = stages(campaign)
    cost = costs(every, results, len(known), timed)
    sizes = sizes_of_input(directory / campaign.molecule_file)
    seconds = {
        stage.name: cost[stage.name](sizes.electrons) * _treated(campaign, stage, sizes) * _rows_of(stage)
        for stage in every
    }
    cores = {stage.rule: (threads or {}).get(stage.rule, THREADS.get(stage.rule, 1)) for stage in every}
    if wanted_minutes is not None:
        known = _recut(every, known, results, seconds, cores, wanted_minutes)
    planned = [
        _stage_plan(stage, cost[stage.name], cores[stage.rule], known, seconds[stage.name], sizes, results)
        for stage in every
    ]
    return Plan(campaign, results, known, planned)


def write_plan(plan: Plan, longest_minutes: int, node_mem_mb: int) -> None:
    """Put shards and requests where Snakemake takes them from: shards.csv and plan.json of the results."""
    minutes = {each.stage.name: each.minutes for each in plan.stages}
    mem_mb = {each.stage.name: each.mem_mb for each in plan.stages if each.stage.has_journal}
    sharding = Sharding(plan.campaign.molecule_file, plan.campaign.shard_size, plan.results)
    molecules = plan.results.parent.parent / sharding.molecules
    digests = row_digests(molecules, plan.shards)
    shards = [Shard(s.first, s.last, digest) for s, digest in zip(plan.shards, digests, strict=True)]
    write_shards(plan.results / "shards.csv", shards)
    write_requests(plan.results, Requests(longest_minutes, node_mem_mb, minutes, mem_mb))


def _stage_plan(
    stage: Stage,
    cost: Cost,
    threads: int,
    shards: Sequence[Shard],
    seconds: Floats,
    sizes: Sizes,
    results: Path,
) -> StagePlan:
    begins = np.array([shard.first for shard in shards], dtype=int)
    empty = np.zeros(0)
    done = finished_shards(results, stage, len(shards))
    to_do = np.ones(len(shards), dtype=bool)
    to_do[done] = False
    return StagePlan(
        stage,
        cost,
        threads,
        np.add.reduceat(seconds, begins) if len(begins) else empty,
        np.maximum.reduceat(seconds, begins) if len(begins) else empty,
        to_do,
        _mem_mb(stage, threads, float(sizes.electrons[seconds > 0].max(initial=1.0))),
    )


def _treated(campaign: Campaign, stage: Stage, sizes: Sizes) -> NDArray[np.bool_]:
    """[n_rows] which molecules a target's `only` lets through."""
    allowed = np.ones(len(sizes.electrons), dtype=bool)
    if stage.name.startswith(("relaxed/", "single_points/")):
        named = stage.name.split("/")[1]
        of = campaign.single_points if stage.kind == "points" else campaign.targets
        only = of[named].only
        if only.max_atoms is not None:
            allowed &= sizes.atoms <= only.max_atoms + 0.5
        if only.max_heavy_atoms is not None:
            allowed &= sizes.heavy_atoms <= only.max_heavy_atoms
    return allowed


def _rows_of(stage: Stage) -> float:
    """Rows of a molecule that a stage works on; of conformers that are sorted out it sees those kept."""
    if stage.kind == "sample":
        return 1.0
    return max(1.0, KEPT_SHARE * stage.conformers) if stage.is_after_keeping else float(stage.conformers)


def _mem_mb(stage: Stage, workers: int, electrons: float) -> int:
    """Memory of a relaxation job: Python and engine in each worker, and what grows with the basis.

    PySCF keeps density-fitting integrals in memory up to its own limit of 4 GB.
    """
    basis = min(4000.0, 300 * (electrons / 60) ** 3) if stage.rule == "relax_dft" else electrons**2 / 100
    return int(1000 + workers * (400 + basis))


def _recut(
    every: Sequence[Stage],
    known: Sequence[Shard],
    results: Path,
    seconds: Mapping[str, Floats],
    cores: Mapping[str, int],
    wanted_minutes: float,
) -> list[Shard]:
    """The begun shards, and the other rows filled into shards of the wanted minutes."""
    n_begun = max(finished_shards(results, every[0], len(known)), default=-1) + 1
    first = known[n_begun - 1].last if n_begun else 0
    last = known[-1].last if known else 0
    loads = []
    for stage in every:
        workers = cores[stage.rule] if stage.has_journal or stage.kind == "diffuse" else 1
        limit = wanted_minutes if stage.has_journal else min(wanted_minutes, NOT_RESUMABLE_MINUTES)
        loads.append(np.cumsum(seconds[stage.name][first:last]) / (workers * limit * 60))
    return [*known[:n_begun], *fill(np.array(loads), first)]


def fill(loads: Floats, first: int) -> list[Shard]:
    """Successive shards of rows; `loads` [n_stages, n_rows] is how many jobs the rows up to here would fill.

    A shard ends where it fills a job of any stage; the last two of a plan may be smaller.
    """
    shards: list[Shard] = []
    begin, n_rows = 0, loads.shape[1]
    while begin < n_rows:
        full = loads[:, begin - 1] if begin else np.zeros(len(loads))
        ends = [
            int(np.searchsorted(load, before + 1.0, side="right"))
            for load, before in zip(loads, full, strict=True)
        ]
        end = min(max(min(ends), begin + 1), begin + MOST_ROWS, n_rows)
        shards.append(Shard(first + begin, first + end))
        begin = end
    return shards


def jobs_to_do(plan: Plan, groups: Mapping[str, str] | None = None) -> list[Job]:
    """The jobs that are left, each behind those that it waits for; comparison and figures at the end.

    `groups` by rule, as a profile's: a stage of its source's group is part of the source's job.
    """
    jobs: list[Job] = []
    for number in range(len(plan.shards)):
        place: dict[str, int] = {}
        group_of: dict[str, str | None] = {}
        for each in plan.stages:
            if not each.to_do[number]:
                continue
            name, source = each.stage.name, each.stage.source or ""
            group_of[name] = (groups or {}).get(each.stage.rule)
            seconds = float(each.job_s[number])
            if source in place and group_of[name] is not None and group_of[name] == group_of[source]:
                place[name] = place[source]
                before = jobs[place[name]]
                jobs[place[name]] = replace(
                    before, seconds=before.seconds + seconds, cores=max(before.cores, each.threads)
                )
                continue
            place[name] = len(jobs)
            after = [place[source]] if source in place else []
            jobs.append(Job(seconds, each.threads, after, wants_gpu=each.stage.kind == "diffuse"))
    if jobs:
        seconds = JOB_START_S + 4e-5 * plan.n_rows * len(plan.stages)
        jobs.append(Job(seconds, 1, range(len(jobs))))
        jobs.append(Job(seconds, 1, [len(jobs) - 1]))
    return jobs


def files_per_shard(plan: Plan) -> int:
    """Files that a shard leaves behind.

    Frames, table, log and benchmark of each stage, the journal of relaxations, and Snakemake's record.
    """
    return sum(5 + each.stage.has_journal for each in plan.stages)


def plan_text(plan: Plan, machines: Machines, groups: Mapping[str, str] | None = None) -> str:
    """The plan as a table for the terminal; `groups` as for `jobs_to_do`."""
    heads = ("stage", "jobs", "cores", "minutes a job", "longest", "core hours", "estimated from")
    lines = [heads, *(_line(each) for each in plan.stages)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:-1], widths[1:-1]), line[-1]])
        for line in lines
    ]
    jobs = jobs_to_do(plan, groups)
    n_files = files_per_shard(plan) * len(plan.shards)
    learning = pilots_to_do(plan)
    core_hours = sum(float(each.core_s[each.to_do].sum()) for each in plan.stages) / 3600
    core_hours += sum(each.core_s for each in learning) / 3600
    rows = [shard.last - shard.first for shard in plan.shards]
    end = finishing_time_s(jobs, machines)
    gpus = f", {several(machines.gpus, 'GPU')}" if machines.gpus else ""
    sizes = "" if not rows else f" of {min(rows)}" + (f" to {max(rows)}" if max(rows) > min(rows) else "")
    per_thousand = (
        f", {1000 * n_files / plan.n_rows:.0f} per thousand molecules" if plan.n_rows > 1000 else ""
    )
    head = f"{several(plan.n_rows, 'molecule')} in {several(len(rows), 'shard')}{sizes}"
    return "\n".join(
        [
            f"campaign {plan.campaign.campaign}: {head}",
            *table,
            *(each.sentence for each in learning),
            f"to do: {several(len(jobs), 'job')}, {core_hours:.1f} core hours; {n_files} files{per_thousand}",
            f"with {several(machines.cores, 'core')}{gpus}, {several(machines.jobs, 'job')} at once: "
            f"done in {duration(end)}",
        ]
    )


@dataclass(frozen=True)
class PilotPlan:
    """What has yet to be relaxed before a start's denoiser knows its level."""

    sentence: str
    core_s: float
    """beside the relaxations of the campaign's own molecules"""


def pilots_to_do(plan: Plan) -> list[PilotPlan]:
    """Of the denoisers that are not adapted yet. Fragments are as costly as molecules of their size."""
    layout, found = Layout(str(plan.results)), []
    for name, start in plan.campaign.starts.items():
        adapt = start.adapt if isinstance(start, DiffuseStart) else None
        if adapt is None or (Path(layout.adapted(name)) / WEIGHTS).exists():
            continue
        if adapt.on == "molecules":
            n = adapt.learned_from[-1]
            rounds = f" in {len(adapt.learned_from)} rounds" if len(adapt.learned_from) > 1 else ""
            of = f"{n} of the molecules" if n < plan.n_rows else f"all {plan.n_rows} molecules"
            words = f"{name} first learns {adapt.target} from {of}{rounds}, which count there"
            found.append(PilotPlan(words, 0.0))
            continue
        of_target = [each for each in plan.stages if each.stage.name.startswith(f"relaxed/{adapt.target}/")]
        law = gradient_law(plan.campaign.targets[adapt.target].engine)
        seconds = of_target[0].cost.seconds if of_target else law
        electrons = np.array([ELECTRONS_PER_HEAVY_ATOM * adapt.max_heavy_atoms])
        core_s = adapt.count * float((seconds(electrons) * GRADIENTS["forcefield"](electrons))[0])
        words = f"{name} first learns {adapt.target} from {adapt.count} fragments"
        words = f"{words}, at most {core_s / 3600:.2f} core hours"
        found.append(PilotPlan(words, core_s))
    return found


def _line(each: StagePlan) -> tuple[str, ...]:
    to_do = each.job_s[each.to_do] / 60
    return (
        each.stage.name,
        str(int(each.to_do.sum())),
        str(each.threads),
        f"{np.median(to_do):.1f}" if len(to_do) else "-",
        f"{to_do.max():.1f}" if len(to_do) else "-",
        f"{each.core_s[each.to_do].sum() / 3600:.2f}",
        each.cost.source if len(to_do) else "-",
    )


def duration(seconds: float) -> str:
    """Seconds for people: `45 s`, `12 min`, `3 h 20 min`, `5 d 4 h`."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
