"""Relax chosen failures anew: they are marked in the journals, and their shards handed back to Snakemake."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from prerelax.campaign.config import Campaign
from prerelax.campaign.stages import Stage, begun_shards, shard_path, stages
from prerelax.errors import UserError, nearest, several
from prerelax.molecules.status import PROCEED, STATUSES
from prerelax.records.seal import ShardError, opened_table, table_path
from prerelax.relaxation.journal import Journal, ShardLockedError, journal_path

RETRIABLE = [status for status in STATUSES if status not in ("skipped", "connectivity_changed")]
"""Statuses that a relaxation can end with; the others follow from the geometry that it is given."""


@dataclass(frozen=True)
class Retried:
    """What was handed back of one stage."""

    stage: Stage
    n_molecules: int
    n_shards: int
    notes: list[str]
    """sentences about shards that were left alone"""


def retry(
    campaign: Campaign,
    directory: Path,
    statuses: Collection[str],
    *,
    target: str | None = None,
    start: str | None = None,
    dry_run: bool = False,
) -> list[Retried]:
    """Have the relaxations that ended with one of `statuses` computed anew by the next run of Snakemake.

    Of relaxations at `target` and from (or to) `start`; None: any. Only these molecules are computed again:
    the others of a shard come from its journal. A shard that a job works on, and one without a journal, is
    left alone and said so. Raises UserError for unknown names and where the campaign has no results.
    """
    _check(campaign, statuses, target, start)
    results = directory / "results" / campaign.campaign
    n_shards = len(begun_shards(campaign, results))
    every = stages(campaign)
    chosen = [stage for stage in every if _is_chosen(stage, target, start)]
    return [
        _retry_stage(stage, _made_from(stage, every), results, n_shards, set(statuses), dry_run)
        for stage in chosen
    ]


def _check(campaign: Campaign, statuses: Collection[str], target: str | None, start: str | None) -> None:
    for status in statuses:
        if status not in RETRIABLE:
            raise UserError(f"no relaxation ends with the status '{status}'{nearest(status, RETRIABLE)}")
    if not statuses:
        raise UserError("say which statuses are to be tried again, for example --status scf_failed")
    if target is not None and target not in campaign.targets:
        raise UserError(f"unknown target '{target}'{nearest(target, campaign.targets)}")
    if start is not None and start not in campaign.starts:
        raise UserError(f"unknown start '{start}'{nearest(start, campaign.starts)}")


def _is_chosen(stage: Stage, target: str | None, start: str | None) -> bool:
    if not stage.has_journal:
        return False
    if target is not None and not stage.name.startswith(f"relaxed/{target}/"):
        return False
    return start is None or stage.name.rsplit("/", 1)[1] == start


def _made_from(stage: Stage, every: list[Stage]) -> list[Stage]:
    """Stages behind this one, the last first."""
    behind: list[Stage] = []
    names = {stage.name}
    for other in every:  # each stands behind its source
        if other.source in names:
            names.add(other.name)
            behind.insert(0, other)
    return behind


def _retry_stage(
    stage: Stage, behind: list[Stage], results: Path, n_shards: int, statuses: set[str], dry_run: bool
) -> Retried:
    n_molecules, n_touched, notes = 0, 0, []
    for number in range(n_shards):
        shard = shard_path(results, stage, number)
        if not _may_have(shard, statuses):
            continue
        # Snakemake makes nothing again for results that are newer than it.
        newer = [results / "comparison.csv", *(shard_path(results, each, number) for each in behind)]
        if not journal_path(shard).is_file():
            n = _hand_back_uncomputed(shard, newer, statuses, dry_run)
            if not n:
                notes.append(f"{shard}: has no journal, delete it to have the whole shard computed again")
            n_molecules, n_touched = n_molecules + n, n_touched + bool(n)
            continue
        try:
            n = _retry_shard(shard, newer, statuses, dry_run)
        except ShardLockedError as error:
            notes.append(str(error))
            continue
        n_molecules, n_touched = n_molecules + n, n_touched + bool(n)
    return Retried(stage, n_molecules, n_touched, notes)


def _hand_back_uncomputed(shard: Path, newer: list[Path], statuses: set[str], dry_run: bool) -> int:
    """Molecules of a shard without journal, whose frames go; none where a row is worth keeping.

    So it is where the program was missing: nothing was computed.
    """
    try:
        with opened_table(table_path(shard)) as file:
            ended = file.read(columns=["status"])["status"].to_pylist()
    except (OSError, ShardError):
        return 0
    if not PROCEED.isdisjoint(ended):
        return 0
    if not dry_run:
        for path in [*newer, shard]:
            path.unlink(missing_ok=True)
    return sum(status in statuses for status in ended)


def _may_have(shard: Path, statuses: set[str]) -> bool:
    """Whether a row of the shard may have ended so; unfinished ones are known by their journal only."""
    if not shard.is_file():
        return journal_path(shard).is_file()
    try:
        with opened_table(table_path(shard)) as file:
            return not statuses.isdisjoint(file.read(columns=["status"])["status"].to_pylist())
    except (OSError, ShardError):
        return True


def _retry_shard(shard: Path, newer: list[Path], statuses: set[str], dry_run: bool) -> int:
    """Molecules to be computed again; the frames go, and `newer` before them.

    Called again after it was cut short, it finds what is left.
    """
    with Journal(journal_path(shard), wait_s=0.0) as journal:
        keys = [key for key, result in journal.entries().items() if result["status"] in statuses]
        n = len(keys) + len(journal.to_retry())
        if n and not dry_run:
            journal.retry(keys)
            for path in [*newer, shard]:
                path.unlink(missing_ok=True)
    return n


def retry_text(retried: list[Retried], dry_run: bool) -> str:
    """What was done, for the terminal."""
    lines = [
        f"{each.stage.name}: {several(each.n_molecules, 'molecule')} in {several(each.n_shards, 'shard')}"
        for each in retried
        if each.n_molecules
    ]
    lines += [note for each in retried for note in each.notes]
    if not any(each.n_molecules for each in retried):
        return "\n".join([*lines, "no relaxation ended with such a status"])
    return "\n".join([*lines, "nothing was changed" if dry_run else "run Snakemake again to compute them"])
