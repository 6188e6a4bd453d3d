"""How far a campaign is, from its files alone: shards, tables and journals. Starts nothing, locks nothing."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from prerelax.campaign.config import Campaign
from prerelax.campaign.cost import REFERENCE_ELECTRONS, costs
from prerelax.campaign.plan import duration
from prerelax.campaign.sharding import shard_name
from prerelax.campaign.stages import Stage, begun_shards, stages
from prerelax.errors import several
from prerelax.molecules.status import counted
from prerelax.records.seal import ShardError, opened_table, table_path
from prerelax.relaxation.journal import journal_path, molecules_in_hand

RECENT_S = 3600.0
"""Throughput is that of the last hour."""
SHOWN = ("ok", "fallback", "not_converged", "skipped")
"""Statuses with a column of their own; rows with any other have failed."""
READERS = 4
"""Threads that read tables: enough to hide a network filesystem's latency, few for a login node."""


@dataclass
class StageStatus:
    """One stage; counts are of rows, that is molecules × conformers."""

    stage: Stage
    n_shards: int
    n_finished: int = 0
    """shards"""
    n_begun: int = 0
    """shards with a journal and no result yet"""
    statuses: "Counter[str]" = field(default_factory=Counter)
    """of the rows in finished shards"""
    n_in_journals: int = 0
    """rows that begun shards have finished"""
    in_hand: list[str] = field(default_factory=list)
    """a line for each molecule that is being relaxed and was seen on the way"""
    work_s: float = 0.0
    """seconds of the finished rows"""
    first: float = 0.0
    last: float = 0.0
    """when the first and the last shard were finished, seconds since 1970"""
    n_recent: int = 0
    """rows finished within RECENT_S, in whole shards"""
    recent_work_s: float = 0.0
    """seconds of these"""
    damaged: list[str] = field(default_factory=list)
    """sentences about files that cannot be read"""

    @property
    def n_rows(self) -> int:
        return sum(self.statuses.values()) + self.n_in_journals


@dataclass(frozen=True)
class CampaignStatus:
    """A campaign at one moment."""

    campaign: Campaign
    n_molecules: int
    n_shards: int
    stages: list[StageStatus]
    seconds_per_row: dict[str, float]
    """by stage"""
    now: float
    has_comparison: bool


def campaign_status(campaign: Campaign, directory: Path = Path(), now: float | None = None) -> CampaignStatus:
    """The status of a campaign run in `directory`. Raises UserError where it has not begun.

    Reads one column of each finished table, and the journals of shards that are being worked on.
    """
    results = directory / "results" / campaign.campaign
    shards = begun_shards(campaign, results)
    now = time.time() if now is None else now
    found = []
    with ThreadPoolExecutor(READERS) as readers:
        for stage in stages(campaign):
            found.append(_stage_status(stage, results / stage.name, len(shards), now, readers))
    n_molecules = shards[-1].last if shards else 0
    seconds = _seconds_per_row(found, results, len(shards))
    compared = (results / "comparison.csv").is_file()
    return CampaignStatus(campaign, n_molecules, len(shards), found, seconds, now, compared)


def _stage_status(
    stage: Stage, folder: Path, n_shards: int, now: float, readers: ThreadPoolExecutor
) -> StageStatus:
    status = StageStatus(stage, n_shards)
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    shards = [folder / f"{shard_name(number)}.extxyz" for number in range(n_shards)]
    finished = [shard for shard in shards if shard.name in names]
    begun = [shard for shard in shards if shard.name not in names and journal_path(shard).name in names]
    status.n_finished, status.n_begun = len(finished), len(begun)
    moments = []
    for table in readers.map(_read_table, finished):
        if isinstance(table, str):
            status.damaged.append(table)
            continue
        status.statuses.update(table.statuses)
        status.work_s += table.work_s
        moments.append(table.moment)
        if now - table.moment <= RECENT_S:
            status.n_recent += sum(table.statuses.values())
            status.recent_work_s += table.work_s
    if moments:
        status.first, status.last = min(moments), max(moments)
    for n_finished, in_hand in readers.map(_in_journal, map(journal_path, begun)):
        status.n_in_journals += n_finished
        status.in_hand += in_hand
    return status


@dataclass(frozen=True)
class _Table:
    statuses: "Counter[str]"
    work_s: float
    moment: float


def _read_table(shard: Path) -> _Table | str:
    """What a shard's table says, or why it says nothing."""
    path = table_path(shard)
    try:
        with opened_table(path) as file:
            table = file.read(columns=["status", "wall_s"])
        counts = {each["values"]: each["counts"] for each in pc.value_counts(table["status"]).to_pylist()}
        return _Table(Counter(counts), pc.sum(table["wall_s"]).as_py() or 0.0, path.stat().st_mtime)
    except (OSError, ShardError, KeyError) as error:
        return str(error)


def _in_journal(path: Path) -> tuple[int, list[str]]:
    try:
        return molecules_in_hand(path)
    except OSError:
        return 0, []


def expected_end_s(status: CampaignStatus) -> float | None:
    """Seconds until the shards are finished; None where none was finished in the last hour, and none of the
    stage that has most left.

    The work that is left, at the seconds that each stage took for a row so far (or by the cost model, where
    it has none), is done at the pace of the last hour: seconds of work per second.
    """
    if all(stage.n_finished == stage.n_shards for stage in status.stages):
        return 0.0
    done = sum(stage.recent_work_s for stage in status.stages)
    if done == 0:
        return None
    left = []
    for stage in status.stages:
        n_rows = status.n_molecules * stage.stage.conformers
        rows = n_rows * (stage.n_shards - stage.n_finished) / max(stage.n_shards, 1) - stage.n_in_journals
        left.append(max(rows, 0.0) * status.seconds_per_row[stage.stage.name])
    if not status.stages[int(np.argmax(left))].statuses:
        return None  # the pace of embeddings tells nothing of DFT's
    return sum(left) / done * _recent_span_s(status)


def _recent_span_s(status: CampaignStatus) -> float:
    begun = min(stage.first for stage in status.stages if stage.first)
    return float(np.clip(status.now - begun, 1.0, RECENT_S))


def _seconds_per_row(found: Sequence[StageStatus], results: Path, n_shards: int) -> dict[str, float]:
    """Of finished rows, and of the cost model for typical molecules where a stage has none."""
    guessed = costs([each.stage for each in found], results, n_shards)
    typical = np.array([REFERENCE_ELECTRONS])
    return {
        each.stage.name: each.work_s / sum(each.statuses.values())
        if each.statuses
        else float(guessed[each.stage.name](typical)[0])
        for each in found
    }


def status_text(status: CampaignStatus) -> str:
    """The status as a table for the terminal."""
    shown = [name.replace("_", " ") for name in SHOWN]
    heads = ("stage", "shards", "begun", "rows", "rows/h", *shown, "failed")
    lines = [heads, *(_line(stage, status.now) for stage in status.stages)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    size = f"{several(status.n_molecules, 'molecule')} in {several(status.n_shards, 'shard')}"
    head = f"campaign {status.campaign.campaign}: {size}"
    sentences = [*_failures(status.stages), *_damaged(status.stages), *_in_hand(status.stages)]
    return "\n".join([head, *table, *sentences, _end(status)])


def _line(stage: StageStatus, now: float) -> tuple[str, ...]:
    failed = sum(n for name, n in stage.statuses.items() if name not in SHOWN)
    span = min(RECENT_S, max(now - stage.first, 1.0))
    per_hour = f"{stage.n_recent * 3600 / span:.0f}" if stage.n_recent else "-"
    return (
        stage.stage.name,
        f"{stage.n_finished}/{stage.n_shards}",
        str(stage.n_begun),
        str(stage.n_rows),
        per_hour,
        *(str(stage.statuses[name]) for name in SHOWN),
        str(failed),
    )


def _failures(found: Iterable[StageStatus]) -> list[str]:
    """One line for each stage with failed rows. Rows fail once and are passed on, so most lines repeat."""
    lines = []
    for stage in found:
        failed = [name for name in stage.statuses.elements() if name not in SHOWN]
        if failed:
            lines.append(f"failed by the end of {stage.stage.name}: {counted(failed)}")
    return lines


def _in_hand(found: Sequence[StageStatus], most: int = 10) -> list[str]:
    lines = [f"in hand in {stage.stage.name}: {text}" for stage in found for text in stage.in_hand]
    more = [f"and {len(lines) - most} more molecules in hand"] if len(lines) > most else []
    return lines[:most] + more


def _damaged(found: Sequence[StageStatus], most: int = 5) -> list[str]:
    sentences = [sentence for stage in found for sentence in stage.damaged]
    more = [f"and {len(sentences) - most} more damaged files"] if len(sentences) > most else []
    return sentences[:most] + more


def _end(status: CampaignStatus) -> str:
    seconds = expected_end_s(status)
    if seconds is None:
        return "no shard was finished in the last hour: no expected end"
    if seconds == 0 and any(stage.n_finished < stage.n_shards for stage in status.stages):
        return "all rows are computed, but not all shards are written: run the campaign again"
    if seconds == 0:
        return (
            "finished"
            if status.has_comparison
            else "all shards are finished; comparison and figures are left"
        )
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.now + seconds))
    return f"expected end: in {duration(seconds)} ({at}), at the pace of the last hour"


def status_json(status: CampaignStatus) -> str:
    """The status for programs."""
    return json.dumps(
        {
            "campaign": status.campaign.campaign,
            "molecules": status.n_molecules,
            "shards": status.n_shards,
            "expected_end_s": expected_end_s(status),
            "stages": [
                {
                    "stage": stage.stage.name,
                    "shards_finished": stage.n_finished,
                    "shards_begun": stage.n_begun,
                    "rows_in_journals": stage.n_in_journals,
                    "in_hand": stage.in_hand,
                    "statuses": dict(stage.statuses),
                    "work_s": stage.work_s,
                    "damaged": stage.damaged,
                }
                for stage in status.stages
            ],
        },
        indent=2,
    )
