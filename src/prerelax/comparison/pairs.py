"""Pairs each relaxation with the baseline relaxation of the same molecule at the same target."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ase import units
from numpy.typing import NDArray

from prerelax.campaign.baseline import Baseline
from prerelax.comparison.ends import rmsd_of_ends, where_ended
from prerelax.comparison.pilots import N_GRADIENTS, WALL_S, Pilot, shares
from prerelax.comparison.relaxed_shards import BEFORE, NOT_COMPARED
from prerelax.errors import UserError
from prerelax.records.shard import ShardError

KCAL_MOL = units.kcal / units.mol
"""eV"""

BASELINE = "baseline"
UNPAIRED = "not compared"
"""A relaxation of a campaign without a baseline."""
OWN_LEVEL = "target's own level"
"""Why a start made at the target's level is no pair: what it saves there it has spent there before."""
_FINE = ""

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


class ComparisonError(UserError):
    """Relaxations that cannot be compared; the message says which and what to do."""


@dataclass(frozen=True)
class _Relaxations:
    """The columns that decide about pairs, [n_rows] each; missing numbers are nan."""

    key: Codes
    """one number per molecule (id, conformer) and what is compared with one another: a target, or all targets
    of the baseline's level"""
    is_baseline: NDArray[np.bool_]
    status: NDArray[np.object_]
    converged: NDArray[np.bool_]
    connectivity_changed: NDArray[np.bool_]
    isomer_changed: NDArray[np.bool_]
    is_saddle: NDArray[np.bool_]
    is_own_level: NDArray[np.bool_]
    is_partly_made_there: NDArray[np.bool_]
    """gradients of the target's level made the start"""
    fallback: NDArray[np.object_]
    """why another method made the start, None or empty where none did"""
    n_steps: Floats
    n_gradients: Floats
    """at the target's level, those that made the start included"""
    energy_ev: Floats
    wall_s: Floats


def pair_with_baseline(
    table: pa.Table, baseline: Baseline | None, pilots: Mapping[str, Pilot] | None = None
) -> pa.Table:
    """One row per relaxation of `table` (from `read_relaxations`), with its baseline beside it.

    A pair counts where both relaxations converged and kept their molecule's bonds: `pair` then says where
    this one ended beside the baseline's, `same`, `deeper`, `higher` or `undecided`
    (`prerelax.comparison.ends`); otherwise why it does not count: the relaxation's own status first, then the
    baseline's. A relaxation from the baseline itself has the pair "baseline", or its status. Numbers that
    compare two relaxations are filled for counted pairs only, so that no average over a column takes in a
    pair that is left out. `pilots` by start: what teaching its denoiser took. Columns as
    `prerelax.comparison.comparison` documents them, except that numbers are not rounded.

    Raises ComparisonError for rows that occur twice, or where no row at all comes from `baseline`. None:
    there is none, and nothing is compared.
    """
    _refuse_absent(table, baseline)
    rows = _relaxations(table, baseline)
    mate = _baseline_rows(rows)
    pair = _pair_reasons(rows, mate)
    if baseline is None:
        pair[np.isin(pair, (f"no {BASELINE} row", OWN_LEVEL))] = UNPAIRED
    counted = pair == _FINE
    baseline_fallback = rows.fallback[mate] if len(mate) else rows.fallback.copy()
    baseline_fallback[mate < 0] = None
    as_asked = ~rows.fallback.astype(bool) & ~baseline_fallback.astype(bool)
    carries = as_asked & (counted | (pair == UNPAIRED))
    all_steps = ~rows.is_partly_made_there & ~(_of_mate(rows.is_partly_made_there.astype(float), mate) > 0)
    carried = shares(table, pilots or {}, carries)
    pilot_gradients, pilot_s = (np.zeros(len(pair)), np.zeros(len(pair))) if carried is None else carried
    wall_s = rows.wall_s + pilot_s
    energy, start_energy = rows.energy_ev, _floats(table, "start_energy_ev")
    of_baseline = _of_mate(rows.n_gradients, mate)
    delta = np.where(counted, (energy - _of_mate(energy, mate)) / KCAL_MOL, np.nan)
    left = _floats(table, "energy_left_kcal_mol")
    apart = np.full(len(pair), np.nan)
    apart[counted] = rmsd_of_ends(table, np.flatnonzero(counted), mate[counted])
    pair[counted] = where_ended(delta, left, _of_mate(left, mate), apart)[counted]
    numbers = {
        "n_gradients": rows.n_gradients,
        "baseline_n_steps": _of_mate(rows.n_steps, mate),
        "baseline_n_gradients": of_baseline,
        "baseline_wall_s_total": np.where(counted, _of_mate(rows.wall_s, mate), np.nan),
        "steps_saved_percent": _saved_percent(rows.n_steps, mate, counted & all_steps),
        "gradients_saved_percent": _saved_percent(rows.n_gradients, mate, counted, pilot_gradients),
        "start_above_minimum_kcal_mol": np.where(rows.converged, (start_energy - energy) / KCAL_MOL, np.nan),
        "delta_kcal_mol": delta,
        "rmsd_baseline_ang": apart,
        "wall_s_before": wall_s - np.nan_to_num(_floats(table, "wall_s_relax")),
        "wall_s_total": wall_s,
    }
    if carried is not None:
        numbers |= {N_GRADIENTS: pilot_gradients, WALL_S: pilot_s}
    baseline_status = rows.status[mate] if len(mate) else rows.status.copy()
    baseline_status[mate < 0] = None
    result = {name: table[name] for name in table.column_names if name not in NOT_COMPARED}
    result |= {name: pa.array(values, from_pandas=True) for name, values in numbers.items()}
    result["baseline_status"] = pa.array(baseline_status, pa.string())
    result["baseline_fallback"] = pa.array(baseline_fallback, pa.string())
    result["pair"] = pa.array(pair, pa.string())
    for name in ("n_gradients", "baseline_n_steps", "baseline_n_gradients"):
        result[name] = result[name].cast(pa.int64())
    return pa.table(result)


def _refuse_absent(table: pa.Table, baseline: Baseline | None) -> None:
    if not table.num_rows or baseline is None:
        return
    starts, targets = table["start"].unique().to_pylist(), table["target"].unique().to_pylist()
    if baseline.start not in starts:
        raise ComparisonError(
            f"no relaxation begins from the baseline {baseline.start!r}; "
            f"the starts here are {', '.join(starts)}"
        )
    if baseline.target is None:
        return
    there = table.filter(pc.equal(table["target"], baseline.target))
    if baseline.start not in there["start"].unique().to_pylist():
        raise ComparisonError(
            f"no relaxation from {baseline.start} at the baseline's target {baseline.target!r}; "
            f"the targets here are {', '.join(targets)}"
        )


def _compared_together(table: pa.Table, baseline: Baseline | None) -> tuple[Codes, NDArray[np.bool_]]:
    """[n_rows] one number for all targets that share a baseline, and which rows are the baseline's."""
    group = _codes(table["target"])
    if baseline is None:
        return group, np.zeros(table.num_rows, dtype=bool)
    is_baseline = _mask(pc.equal(table["start"], baseline.start))
    if baseline.target is None:
        return group, is_baseline
    at_target = _mask(pc.equal(table["target"], baseline.target))
    levels = pc.unique(table["level"].filter(pa.array(at_target)).drop_null())
    same_level = _mask(pc.is_in(table["level"], levels)) if len(levels) else at_target
    # a target's rows that were not relaxed have no level of their own
    same_level = np.isin(group, np.unique(group[same_level | at_target]))
    if at_target.any():
        group = np.where(same_level, group[at_target.argmax()], group)
    return group, is_baseline & (at_target | ~same_level)


def _relaxations(table: pa.Table, baseline: Baseline | None) -> _Relaxations:
    target, start, molecule = _codes(table["target"]), _codes(table["start"]), _codes(table["id"])
    conformer = table["conformer"].to_numpy().astype(np.int64)
    row_key = (target * (molecule.max(initial=0) + 1) + molecule) * (conformer.max(initial=0) + 1) + conformer
    _refuse_duplicates(table, row_key * (start.max(initial=0) + 1) + start)
    group, is_baseline = _compared_together(table, baseline)
    key = (group * (molecule.max(initial=0) + 1) + molecule) * (conformer.max(initial=0) + 1) + conformer
    of_start = np.nan_to_num(_floats(table, "n_gradients_of_start"))
    of_check = np.nan_to_num(_floats(table, "n_gradients_check"))
    asked_for = _mask(pc.equal(pc.fill_null(table["fallback"], ""), ""))
    before = np.zeros(table.num_rows)
    for name in table.column_names:
        before += np.nan_to_num(_floats(table, name)) if name.startswith(BEFORE) else 0
    return _Relaxations(
        key=key,
        is_baseline=is_baseline,
        status=_shared_text(table["status"]),
        converged=_mask(table["converged"]),
        connectivity_changed=_mask(pc.invert(table["connectivity_unchanged"])),
        isomer_changed=_mask(pc.invert(table["stereo_unchanged"])),
        is_saddle=_mask(pc.greater(table["n_imaginary"], 0)),
        is_own_level=(of_start > 0) & asked_for & ~is_baseline,
        is_partly_made_there=of_start > 0,
        fallback=_shared_text(table["fallback"]),
        n_steps=_floats(table, "n_steps"),
        n_gradients=_floats(table, "n_gradients") + of_start + of_check,
        energy_ev=_floats(table, "energy_ev"),
        wall_s=before + np.nan_to_num(_floats(table, "wall_s_relax")),
    )


def _refuse_duplicates(table: pa.Table, key: Codes) -> None:
    order = np.argsort(key, kind="stable")
    again = order[1:][key[order][1:] == key[order][:-1]]
    if len(again) == 0:
        return
    row = {name: table[name][int(again.min())].as_py() for name in ("id", "conformer", "start", "target")}
    raise ComparisonError(
        f"molecule {row['id']!r} (conformer {row['conformer']}) was relaxed twice from {row['start']} at "
        f"{row['target']}, and {len(again) - 1} more rows occur twice; delete stale shards of an earlier "
        "campaign, or name each shard once"
    )


def _baseline_rows(rows: _Relaxations) -> Codes:
    """[n_rows] for each relaxation the row of its baseline, -1 where there is none."""
    baselines = np.flatnonzero(rows.is_baseline)
    baselines = baselines[np.argsort(rows.key[baselines])]
    if len(baselines) == 0:
        return np.full(len(rows.key), -1)
    place = np.searchsorted(rows.key[baselines], rows.key)
    found = baselines[np.minimum(place, len(baselines) - 1)]
    return np.where(rows.key[found] == rows.key, found, -1)


def _pair_reasons(rows: _Relaxations, mate: Codes) -> NDArray[np.object_]:
    own = _own_reasons(rows)
    pair = own.copy()
    fine = own == _FINE
    pair[fine & rows.is_baseline] = BASELINE
    pair[fine & (mate < 0)] = f"no {BASELINE} row"
    of_baseline = fine & (mate >= 0) & (own[mate] != _FINE)
    pair[of_baseline] = [f"{BASELINE} {reason}" for reason in own[mate[of_baseline]]]
    return pair


def _own_reasons(rows: _Relaxations) -> NDArray[np.object_]:
    """[n_rows] why a relaxation can't be half of a pair, _FINE where it can."""
    reasons = np.full(len(rows.key), _FINE, dtype=object)
    counts = np.isfinite(rows.n_steps) & np.isfinite(rows.n_gradients)
    reasons[~counts] = "counts missing"
    reasons[rows.is_own_level] = OWN_LEVEL
    reasons[rows.is_saddle] = "saddle point"
    reasons[rows.isomer_changed] = "isomer changed"
    reasons[rows.connectivity_changed] = "connectivity changed"
    # A start may be a fallback and its relaxation still a good one: only `converged` decides.
    silent = (rows.status == "ok") | (rows.status == "fallback")
    return np.where(rows.converged, reasons, np.where(silent, "not_converged", rows.status))


def _saved_percent(
    counts: Floats, mate: Codes, counted: NDArray[np.bool_], beside: Floats | float = 0.0
) -> Floats:
    """`beside` is spent on top of the counts."""
    of_baseline = _of_mate(counts, mate)
    of_baseline[of_baseline == 0] = np.nan
    return np.where(counted, 100 * (1 - (counts + beside) / of_baseline), np.nan)


def _of_mate(values: Floats, mate: Codes) -> Floats:
    return np.where(mate < 0, np.nan, values[mate]) if len(values) else values.copy()


def _codes(column: Any) -> Codes:
    if column.null_count:
        raise ShardError("a row lacks its id, start or target; the shards are not whole, relax again")
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    codes: Codes = encoded.indices.to_numpy().astype(np.int64)
    return codes


def _shared_text(column: Any) -> NDArray[np.object_]:
    """[n_rows] the column's text, equal ones being one object."""
    words = column.unique().to_pylist()
    codes = pc.index_in(column, pa.array(words, column.type)).to_numpy()
    shared: NDArray[np.object_] = np.array(words, dtype=object)[codes]
    return shared


def _mask(column: Any) -> NDArray[np.bool_]:
    """[n_rows] the column's truth, False where it is missing."""
    mask: NDArray[np.bool_] = pc.fill_null(column, False).to_numpy().astype(bool)
    return mask


def _floats(table: pa.Table, name: str) -> Floats:
    values: Floats = table[name].cast(pa.float64()).to_numpy().astype(float)
    return values
