"""The comparison of a campaign: every relaxation beside the baseline's, and the summary of all of them.

`comparison.csv` has one row per molecule (id, conformer), target and start, in the order of the shards:

- `id`, `conformer`, `smiles`, `n_atoms`, `charge`, `multiplicity`, `target`, `start`, `status`, `message`,
  `converged`: as in the shard. Ids are text, also such as 000123 and T: `read_comparison` and
  `pandas.read_csv(..., dtype={"id": str}, keep_default_na=False)` keep them, spreadsheets need the column
  imported as text.
- `level`, `optimizer`: of the target.
- `n_steps`, `n_gradients`: accepted moves, and energy+forces evaluations at the target's level, those that
  made the start (`n_gradients_of_start`) and that checked the end (`n_gradients_check`) included;
  `n_gradients_cheap`: evaluations spent on the way, cheaper levels' (xTB starts) and those that made the
  start.
- `fallback`: why the start was made by another method than asked for, empty where it was not;
  `residual_ang`: how far its denoiser would still move it (docs/guide/denoisers.md), empty for other starts.
- `baseline_n_steps`, `baseline_n_gradients`, `baseline_status`, `baseline_fallback`: of the same molecule's
  relaxation from the baseline at this target; where the baseline has a target of its own and this one's level
  is the same, at that one.
- `pair`: of a counted pair where it ended beside the baseline: in the `same` minimum, a `deeper` or a
  `higher` one, or `undecided` (`prerelax.comparison.ends`); `baseline` for the baseline's own rows, `not
  compared` where there is no baseline, or why the pair is left out: the relaxation's status
  (`not_converged`, `skipped`, `scf_failed`, ...), `connectivity changed` (a broken molecule is no speedup),
  `isomer changed` (its bonds are the molecule's, its stereochemistry is not),
  `target's own level` (the start was made at it, so it saves nothing), the same of the baseline (`baseline
  not_converged`, ...) or `no baseline row`.
- Filled for counted pairs only: `gradients_saved_percent` = 100·(1 - n_gradients/baseline_n_gradients),
  `steps_saved_percent` (the papers' number; without what taught a denoiser its level, and empty where the
  baseline needs 0 steps or a fallback spent gradients of the target's level on a start), `delta_kcal_mol` =
  E(relaxed from this start) - E(relaxed from the baseline), negative where this start's minimum is deeper;
  `rmsd_baseline_ang` between the two ends, heavy atoms and hydrogens not on carbon, equivalent atoms matched.
- `start_above_minimum_kcal_mol`: energy of the start above the minimum that it relaxed to itself.
- `rmsd_ang`, `rmsd_symmetry_ang`: between start and relaxed geometry; with equivalent atoms matched.
- `connectivity_unchanged`: whether the relaxed geometry has the molecule's bonds.
- `energy_ev`, `start_energy_ev`, `fmax_ev_ang`: at the target.
- `input_smiles`, and the other columns of the molecule file: as the user wrote them, a column whose name is
  taken as `input_<name>`; `isomer`: what was taken where the input leaves a configuration open;
  `stereo_unchanged`: whether the relaxed geometry is the isomer that is meant.
- `single_point_<name>_ev`: of the relaxed geometry at each level of `single_points`.
- `relative_kcal_mol`, `same_as`, `boltzmann_weight`: of molecules with several conformers, with ensembles.csv
  beside it (`prerelax.comparison.ensembles`).
- `n_gradients_pilot`, `wall_s_pilot`: of a start whose denoiser learned the level first, this relaxation's
  share of what that took, in the savings but for `steps_saved_percent` and in `wall_s_before`, but not in
  `n_gradients`. Relaxations that count and that no fallback began share it.
- `wall_s_relax`, `wall_s_before`, `wall_s_total`: seconds of the relaxation, of all stages before it and of
  both; `baseline_wall_s_total` of counted pairs; then `wall_s_before_<stage>` for every stage that some
  molecule went through.

`summary.csv` beside it is documented in `prerelax.comparison.summary`.
"""

import csv
import json
from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from prerelax.campaign.baseline import Baseline
from prerelax.campaign.inspection import rows_expected
from prerelax.campaign.layout import relaxed_folder
from prerelax.campaign.sharding import SHARDS_FILE, read_shards, shard_name
from prerelax.campaign.stages import read_campaign
from prerelax.comparison.ensembles import COLUMNS as ENSEMBLE_COLUMNS
from prerelax.comparison.ensembles import ensembles, ensembles_text, with_weights
from prerelax.comparison.levels import differing_settings, differing_starts
from prerelax.comparison.pairs import ComparisonError, pair_with_baseline
from prerelax.comparison.pilots import N_GRADIENTS, WALL_S, pilots_of
from prerelax.comparison.relaxed_shards import BEFORE, read_relaxations
from prerelax.comparison.single_points import BEGINNING as SINGLE_POINT
from prerelax.comparison.single_points import with_single_points
from prerelax.comparison.summary import summarise, summary_text
from prerelax.records.atomic_write import write_atomically
from prerelax.records.record import COLUMNS, TABLE_SCHEMA

_FIRST_COLUMNS = (
    "id",
    "conformer",
    "smiles",
    "n_atoms",
    "charge",
    "multiplicity",
    "target",
    "level",
    "optimizer",
    "start",
    "status",
    "message",
    "pair",
    "converged",
    "n_steps",
    "n_gradients",
    "n_gradients_of_start",
    "n_gradients_check",
    "n_gradients_cheap",
    "fallback",
    "residual_ang",
    "baseline_n_steps",
    "baseline_n_gradients",
    "baseline_status",
    "baseline_fallback",
    "steps_saved_percent",
    "gradients_saved_percent",
    "start_above_minimum_kcal_mol",
    "delta_kcal_mol",
    "rmsd_baseline_ang",
    "rmsd_ang",
    "rmsd_symmetry_ang",
    "connectivity_unchanged",
    "energy_ev",
    "start_energy_ev",
    "fmax_ev_ang",
    "wall_s_relax",
    "wall_s_before",
    "wall_s_total",
    "baseline_wall_s_total",
)
_OPTIONAL = (
    "input_smiles",
    "isomer",
    "stereo_unchanged",
    N_GRADIENTS,
    WALL_S,
    *ENSEMBLE_COLUMNS,
    *(n for n, column in COLUMNS.items() if column.compared and ("energy_left" in n or "meets" in n)),
)
"""What a row says of its isomer, its conformers and its convergence, in a table that has it."""
_OF_STRINGS = {column.name for column in TABLE_SCHEMA if pa.types.is_string(column.type)}
_MADE_STRINGS = ("pair", "baseline_status", "baseline_fallback", "level", "optimizer")
_TEXT = [name for name in _FIRST_COLUMNS if name in _OF_STRINGS or name in _MADE_STRINGS]
_CATEGORIES = ("target", "level", "optimizer", "start", "status", "pair", "baseline_status")
_DECIMALS_ELSE = 4
_DECIMALS_OF_SHARES = 12
"""whose sum over a million rows is asked for"""
MMFF94 = Baseline(start="mmff94")


def compare(
    out: Path,
    inputs: Sequence[Path],
    baseline: Baseline | None = MMFF94,
    n_shards: int | None = None,
) -> str:
    """Write `out` (comparison.csv) and summary.csv beside it; return the summary as a table for the terminal.

    `inputs` are relaxed shards, or folders `relaxed/<target>/<start>` of which the first `n_shards` are read
    (None: all). Relaxations from `baseline` are what the others are paired with; None: nothing is.
    Raises ShardError (a shard missing, cut short or without some of its rows) and ComparisonError (rows
    twice, no baseline anywhere, two levels under one target's name, two denoisers under one start's).
    """
    relaxations = read_relaxations(inputs, n_shards, _rows_expected(inputs))
    notes = [*differing_settings(relaxations), *differing_starts(relaxations)]
    relaxations = with_single_points(with_weights(relaxations), inputs)
    table = pair_with_baseline(relaxations, baseline, pilots_of(inputs))
    del relaxations
    seconds = [name for name in table.column_names if name.startswith(BEFORE)]
    more = [name for name in _OPTIONAL if name in table.column_names]
    more += [name for name in table.column_names if name.startswith(SINGLE_POINT)]
    of_input = _columns_of_input(table)
    table = _rounded(table.select([*_FIRST_COLUMNS, *more, *seconds]))
    summary = summarise(_frame(table.drop_columns(["smiles", "message"])), baseline.start if baseline else "")
    if set(ENSEMBLE_COLUMNS) <= set(table.column_names):
        found = ensembles(_frame(table.drop_columns(["smiles"])))
        notes += ensembles_text(found)
        write_atomically(
            out.with_name("ensembles.csv"), lambda part: found.to_csv(part, index=False, float_format="%.9g")
        )
    for name, column in of_input.items():
        taken = name in table.column_names or name.startswith(BEFORE)
        table = table.append_column(f"input_{name}" if taken else name, column)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, lambda part: pa.csv.write_csv(table, part))
    write_atomically(
        out.with_name("summary.csv"), lambda part: summary.to_csv(part, index=False, float_format="%.6g")
    )
    return "\n\n".join([*notes, summary_text(summary, str(baseline) if baseline else None)])


def _columns_of_input(table: pa.Table) -> dict[str, pa.Array]:
    """The user's own columns by name, as text; null in rows of files that lack them."""
    if "input_columns" not in table.column_names:
        return {}
    coded = table["input_columns"].combine_chunks().dictionary_encode()
    different = [json.loads(text) for text in coded.dictionary.to_pylist()]
    names = dict.fromkeys(name for each in different for name in each)
    return {
        name: pa.array([each.get(name) for each in different], pa.string()).take(coded.indices)
        for name in names
    }


def _rows_expected(inputs: Sequence[Path]) -> dict[Path, int]:
    """Rows of the shards of folders in a campaign's results, by its config and shards.csv there."""
    expected: dict[Path, int] = {}
    for results, folders in groupby(inputs, lambda folder: folder.absolute().parent.parent.parent):
        kept, shards = results / "campaign.yaml", read_shards(results / SHARDS_FILE)
        if not kept.is_file() or not shards:
            continue
        rows = rows_expected(read_campaign(kept), shards)
        for folder in folders:
            of_stage = rows.get(relaxed_folder(folder.parent.name, folder.name))
            for number, n_rows in enumerate(of_stage or []):
                expected[folder / f"{shard_name(number)}.extxyz"] = n_rows
    return expected


def comparison_of(inputs: Sequence[Path], baseline: Baseline) -> pd.DataFrame:
    """What `compare` writes of these relaxed shards, as `read_comparison` reads it. Raises as both."""
    table = pair_with_baseline(read_relaxations(inputs), baseline)
    return _frame(_rounded(table.select(_FIRST_COLUMNS)))


def read_comparison(path: Path, leave_out: Collection[str] = ()) -> pd.DataFrame:
    """A comparison.csv as `compare` wrote it, without the columns `leave_out`.

    Text stays text, names are categories in order of appearance, missing numbers are nan. Raises
    ComparisonError where the file is missing or something else.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header = next(csv.reader(file), [])
    except FileNotFoundError:
        raise ComparisonError(f"{path}: no such file; run `prerelax compare` first") from None
    missing = [name for name in _FIRST_COLUMNS if name not in header]
    if missing:
        raise ComparisonError(
            f"{path}: not a comparison of this version, it lacks {', '.join(missing)}; "
            "run `prerelax compare` again"
        )
    convert = pa.csv.ConvertOptions(
        include_columns=[name for name in header if name not in leave_out],
        column_types={name: pa.string() for name in _TEXT},
        strings_can_be_null=False,
    )
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    try:
        return _frame(pa.csv.read_csv(path, convert_options=convert, parse_options=parse))
    except pa.ArrowInvalid as error:
        raise ComparisonError(f"{path}: not a comparison ({error}); run `prerelax compare` again") from None


def _rounded(table: pa.Table) -> pa.Table:
    for place, name in enumerate(table.column_names):
        if pa.types.is_floating(table[name].type):
            decimals = COLUMNS[name].decimals if name in COLUMNS else _DECIMALS_ELSE
            decimals = COLUMNS["energy_ev"].decimals if name.startswith(SINGLE_POINT) else decimals
            decimals = _DECIMALS_OF_SHARES if name in (N_GRADIENTS, WALL_S) else decimals
            # + 0.0: minus zero reads as a mistake
            values = pc.add(pc.round(table[name], decimals), 0.0)
            table = table.set_column(place, name, values)
    return table


def _frame(table: pa.Table) -> pd.DataFrame:
    """`table` in pandas: names as categories in order of appearance, all numbers as floats."""
    columns = {}
    for name in table.column_names:
        column = table[name]
        if name in _CATEGORIES:
            text = pc.fill_null(column, "")
            order = text.unique().to_pylist()
            columns[name] = pd.Series(pd.Categorical(text.to_pandas(), categories=order))
        elif pa.types.is_integer(column.type) or pa.types.is_null(column.type):
            columns[name] = column.cast(pa.float64()).to_pandas()
        else:
            columns[name] = column.to_pandas()
    return pd.DataFrame(columns)
