"""What it took to teach denoisers their level: every saving of their starts is claimed with it.

A pilot serves all molecules of its start. Those of their relaxations that count share its cost equally, so
that no part of it is left out with a relaxation that fails or that a fallback began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from prerelax.campaign.config import Campaign
from prerelax.campaign.layout import Layout
from prerelax.campaign.stages import CAMPAIGN_FILE, read_campaign
from prerelax.campaign.starts import Adapt, DiffuseStart
from prerelax.denoisers.model_folders import CONFIG
from prerelax.reading import read_yaml_file

N_GRADIENTS, WALL_S = "n_gradients_pilot", "wall_s_pilot"
"""Columns of a relaxation's share."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pilot:
    """What teaching a start's denoiser took."""

    n_gradients: int
    """at the target's level; those of molecules are in their own rows and are not counted twice"""
    core_s: float
    """of these relaxations, and of the trainings"""


def pilots_of(inputs: Sequence[Path]) -> dict[str, Pilot]:
    """The pilots of the campaigns in whose results these folders `relaxed/<target>/<start>` lie, by start."""
    found: dict[str, Pilot] = {}
    for results in dict.fromkeys(folder.absolute().parent.parent.parent for folder in inputs):
        kept = results / CAMPAIGN_FILE
        if kept.is_file():
            found |= _of_campaign(read_campaign(kept), results)
    return found


def _of_campaign(campaign: Campaign, results: Path) -> dict[str, Pilot]:
    found = {}
    for name, start in campaign.starts.items():
        if isinstance(start, DiffuseStart) and start.adapt is not None:
            n_gradients, relaxing_s = _relaxing(results / "pilot" / name, start.adapt)
            training_s = sum(map(_training_s, _models(Layout(str(results)), name, start.adapt)))
            found[name] = Pilot(n_gradients, relaxing_s + training_s)
    return found


def _models(layout: Layout, name: str, adapt: Adapt) -> list[Path]:
    earlier = [f"{name}.{after}" for after in adapt.learned_from[:-1]] if adapt.on == "molecules" else []
    return [Path(layout.adapted(model)) / CONFIG for model in (*earlier, name)]


def _relaxing(folder: Path, adapt: Adapt) -> tuple[int, float]:
    """Gradients and seconds of a pilot; of molecules only what was spent on those without a minimum."""
    n_gradients, seconds = 0, 0.0
    pattern = "relaxed/*.parquet" if adapt.on == "fragments" else "*/relaxed/*.parquet"
    columns = ["n_gradients", "n_gradients_check", "wall_s", "converged"]
    for path in sorted(folder.glob(pattern)):
        # tables of an earlier version lack the second
        kept = {"connectivity_unchanged", "stereo_unchanged"} & set(pq.read_schema(path).names)
        table = pq.read_table(path, columns=[*columns, *kept])
        table = table.filter(pc.is_valid(table["n_gradients"]))
        if adapt.on == "molecules":
            is_kept = pc.fill_null(table["converged"], False)
            for name in kept:
                is_kept = pc.and_(is_kept, pc.fill_null(table[name], True))
            table = table.filter(pc.invert(is_kept))
        n_gradients += sum((pc.sum(table[name]).as_py() or 0) for name in columns[:2])
        seconds += pc.sum(table["wall_s"]).as_py() or 0.0
    return n_gradients, seconds


def _training_s(config: Path) -> float:
    if not config.is_file():
        return 0.0
    said = read_yaml_file(config)
    training = said.get("training") if isinstance(said, Mapping) else None
    adapted = training.get("adapted") if isinstance(training, Mapping) else None
    if not isinstance(adapted, Mapping):
        return 0.0
    return 60.0 * float(adapted.get("core_minutes", adapted.get("minutes", 0.0)))


def shares(
    table: pa.Table, pilots: Mapping[str, Pilot], carries: NDArray[np.bool_]
) -> tuple[Floats, Floats] | None:
    """Gradients and core seconds [n_rows] of the pilots on each relaxation (of `read_relaxations`).

    At each target a pilot is shared by the relaxations of its start that `carries` [n_rows] names, by all of
    them where it names none. None where no start of the table has a pilot.
    """
    groups = table.select(["target", "start"]).group_by(["target", "start"]).aggregate([]).to_pylist()
    if set(pilots).isdisjoint(group["start"] for group in groups):
        return None
    gradients, seconds = np.zeros(table.num_rows), np.zeros(table.num_rows)
    for group in groups:
        if (pilot := pilots.get(group["start"])) is None:
            continue
        here = pc.and_(*(pc.equal(table[name], group[name]) for name in group)).to_numpy()
        rows = np.flatnonzero(here & carries if (here & carries).any() else here)
        gradients[rows], seconds[rows] = pilot.n_gradients / len(rows), pilot.core_s / len(rows)
    return gradients, seconds
