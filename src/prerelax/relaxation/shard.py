"""Relax the molecules of a shard at a level, resumably: every row in is one row out, whatever happens."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols

from prerelax.engines.serving import Line
from prerelax.errors import MissingProgramError, UserError, several
from prerelax.molecules.status import PROCEED, Status
from prerelax.records.record import Record
from prerelax.records.settings import level_name, settings_text
from prerelax.records.shard import read_shard, write_frames, write_shard
from prerelax.relaxation.journal import LOCK_WAIT_S, Journal, journal_path, molecule_key, seen_text
from prerelax.relaxation.molecule import RelaxationResult
from prerelax.relaxation.optimizers import validate_optimizer
from prerelax.relaxation.pool import WorkerPool
from prerelax.relaxation.progress import Listeners, Progress, console_progress
from prerelax.relaxation.settings import Only, Relaxation, Resources
from prerelax.relaxation.worker import kept_result, result_line

LIVE_S = 5.0
"""A molecule in hand is told of not more often than that."""
SEEN = ("n_gradients", "energy_ev", "fmax_ev_ang")
"""what is told of it"""

if TYPE_CHECKING:
    from prerelax.molecules.stereo import Changes
MAX_KILLS = 3
"""A molecule that was in hand whenever so many jobs were killed is not tried again by the next one."""

FINAL: frozenset[Status] = PROCEED | {"input_error", "unsupported_element", "scf_failed"}
"""Results that would come out the same again; others (a crash, too little memory) are tried anew."""


@dataclass(frozen=True)
class ShardSummary:
    """What became of a shard."""

    statuses: "Counter[Status]"
    n_computed: int
    """molecules relaxed now"""
    n_resumed: int
    """molecules whose results the journal had"""


@dataclass(frozen=True)
class Named:
    """What the rows out are: of a target, or a start made by relaxing.

    A start's gradients count as cheap, and changed bonds are its status `connectivity_changed`.
    """

    target: str | None = None
    start: str | None = None

    @property
    def stage(self) -> str:
        """The name by which the seconds of this stage are kept."""
        return self.start or self.target or "relax"

    @property
    def changes(self) -> dict[str, Any]:
        """Fields of the rows that say so."""
        return {"target": self.target} if self.start is None else {"start": self.start}


@dataclass
class _Shard:
    """The rows of a shard and what is known of them."""

    records: list[Record]
    named: Named
    keys: dict[int, str] = field(default_factory=dict)
    """journal keys of the rows to relax, by row"""
    results: dict[str, RelaxationResult] = field(default_factory=dict)
    """by journal key"""


def relax_shard(
    inp: Path,
    out: Path,
    relaxation: Relaxation,
    *,
    named: Named | None = None,
    resources: Resources | None = None,
    trajectory: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    lock_wait_s: float = LOCK_WAIT_S,
) -> ShardSummary:
    """Relax the rows of `inp` that proceed and pass `relaxation.only`, and write them as the shard `out`.

    `named` says whether the rows out are those of a target or a start of their own. `trajectory`, an .extxyz
    file, gets every evaluation. Finished molecules are kept in `OUT.journal.jsonl`: killed at any moment and
    called again, the shard goes on where it was. Molecules interrupted by a kill run last; after MAX_KILLS
    attempts they become `resource_error`. No engine is imported in this process.

    Raises UserError for a wrong level, optimizer or cheap level, for a broken input shard, and where another
    job holds the shard for longer than `lock_wait_s`; MissingProgramError, before anything is written, where
    the program behind the engine is not installed.
    """
    _check(relaxation)
    shard = _Shard(_starts(inp), named or Named())
    settings = settings_of(relaxation)
    with Journal(journal_path(out), lock_wait_s) as journal, _released_at_sigterm():
        _take_known_results(shard, journal, settings, relaxation, trajectory is not None)
        n_resumed = len(shard.results)
        with console_progress(progress, len(set(shard.keys.values())), n_resumed) as told:
            pool = WorkerPool(relaxation, resources, trajectory is not None)
            _relax_the_rest(shard, journal, pool, told)
        rows = _rows(shard, settings_text(settings), relaxation.only)
        write_shard(out, rows)
        if trajectory is not None:
            _write_trajectory(trajectory, shard, settings_text(settings))
    n_computed = len(shard.results) - n_resumed
    return ShardSummary(Counter(row.status for row in rows), n_computed, n_resumed)


def _starts(inp: Path) -> list[Record]:
    return [record.as_start() for record in read_shard(inp)]


def _check(relaxation: Relaxation) -> None:
    try:
        validate_optimizer(relaxation.chosen_optimizer)
        _ = relaxation.chosen_cheap_level
    except ValueError as error:
        raise UserError(str(error)) from error


def settings_of(relaxation: Relaxation) -> dict[str, object]:
    """Everything that the results depend on. Raises UserError as `relax_shard` does."""
    try:
        return relaxation.settings()
    except UserError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from error


def shard_without_program(
    inp: Path, out: Path, *, target: str, only: Only, error: MissingProgramError
) -> None:
    """Write what `relax_shard` would, where it cannot: molecules to relax have the status `resource_error`.

    Raises `error` where the journal shows that the program once was there, since its results would be hidden.
    """
    if journal_path(out).exists():
        raise error
    shard = _Shard(_starts(inp), Named(target=target))
    shard.results[""] = RelaxationResult(status="resource_error", message=str(error))
    shard.keys = {
        row: ""
        for row, record in enumerate(shard.records)
        if record.proceeds and only.objection(record.numbers) is None
    }
    write_shard(out, _rows(shard, None, only))


def _take_known_results(
    shard: _Shard, journal: Journal, settings: dict[str, object], relaxation: Relaxation, path_wanted: bool
) -> None:
    """Fill in the keys of the rows to relax, and those results that the journal has and that still hold."""
    entries = journal.entries()
    for row, record in enumerate(shard.records):
        if not record.proceeds or relaxation.only.objection(record.numbers) is not None:
            continue
        key = shard.keys[row] = molecule_key(record, settings)
        kept = kept_result(entries.get(key), len(record.numbers))
        if kept is not None and _still_holds(kept, relaxation.timeout_s, path_wanted):
            shard.results[key] = kept


def _still_holds(kept: RelaxationResult, timeout_s: float | None, path_wanted: bool) -> bool:
    if path_wanted and kept.n_gradients and not kept.path:
        return False
    if kept.status == "timeout":
        return timeout_s is not None and timeout_s <= kept.wall_s
    return kept.status in FINAL


def _relax_the_rest(shard: _Shard, journal: Journal, pool: WorkerPool, told: Listeners) -> None:
    """Relax what the journal lacks, one row for each key; the largest first, so that workers end together."""
    rows = {key: row for row, key in reversed(shard.keys.items()) if key not in shard.results}
    total = len(rows) + len(shard.results)
    kills, known = journal.kills(), journal.gradients(rows.keys())
    last_told: dict[str, float] = {}

    def finish(key: str, result: RelaxationResult, given_up: bool = False) -> None:
        journal.add(key, result_line(result, pool.keep_paths), given_up=given_up)
        shard.results[key] = result
        molecule = shard.records[rows[key]].id
        numbers = (result.status, result.n_gradients, result.wall_s, result.message)
        told.finished(Progress(len(shard.results), total, molecule, *numbers))
        if result.output:
            print(
                f"{molecule}: the end of the program's output:\n{indent(result.output, '    ')}", flush=True
            )

    with pool:
        for keys in _in_order(rows, kills, shard.records):
            records = [shard.records[rows[key]] for key in keys]

            def begin(index: int, keys: list[str] = keys) -> None:
                journal.begin(keys[index])
                last_told[keys[index]] = time.monotonic()
                if n := len(known[keys[index]]):
                    molecule = shard.records[rows[keys[index]]].id
                    told.seen(f"{molecule}: {several(n, 'gradient')} of a job before not computed again")

            def see(index: int, news: Line, keys: list[str] = keys) -> None:
                key = keys[index]
                if "computed" in news:
                    journal.keep(key, news["computed"])
                if time.monotonic() - last_told[key] >= LIVE_S:
                    last_told[key] = time.monotonic()
                    seen = {name: value for name, value in news.items() if name in SEEN}
                    journal.see(key, shard.records[rows[key]].id, seen)
                    told.seen(seen_text(shard.records[rows[key]].id, seen))

            for index, result in pool.relax(records, begin, see, [known[key] for key in keys]):
                finish(keys[index], result)
    for key in rows:
        if kills[key] >= MAX_KILLS:
            finish(key, _given_up(kills[key]), given_up=True)


def _in_order(rows: dict[str, int], kills: "Counter[str]", records: list[Record]) -> list[list[str]]:
    """Keys of molecules to relax side by side, one list after the other, the largest of each list first.

    What was in hand at a kill comes after the rest, and what was so twice comes alone, so that the molecule
    that gets its job killed is found and costs the others nothing.
    """
    by_size = sorted(rows, key=lambda key: -int(records[rows[key]].numbers.sum()))
    lists = [[key for key in by_size if kills[key] == n] for n in (0, 1)]
    return [*filter(None, lists), *([key] for key in by_size if 2 <= kills[key] < MAX_KILLS)]


def _given_up(kills: int) -> RelaxationResult:
    message = (
        f"{kills} jobs or engines were killed while this molecule was in hand, most likely for its memory; "
        "ask for more memory and run the shard again"
    )
    return RelaxationResult(status="resource_error", message=message)


@contextmanager
def _released_at_sigterm() -> Iterator[None]:
    """Let a job that is cancelled or out of time end its journal and say so before it is killed for good."""

    def stop(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(
            "prerelax: stopped by SIGTERM (cancelled, or at the job's time limit); finished molecules are in "
            "the journal, run again to go on"
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _rows(shard: _Shard, settings: str | None, only: Only) -> list[Record]:
    # A start's settings are not those of the target at which a row was not relaxed.
    untreated: dict[str, Any] = {**shard.named.changes, "settings": None}
    rows = []
    for row, record in enumerate(shard.records):
        if row in shard.keys:
            rows.append(_relaxed_row(record, shard.results[shard.keys[row]], shard.named, settings))
        elif record.proceeds:
            objection = only.objection(record.numbers) or ""
            skipped = replace(record, status="skipped", message=objection, wall_s=0.0, **untreated)
            rows.append(replace(skipped, start_settings=record.settings))
        else:
            rows.append(replace(record, start_settings=record.settings, **untreated))
    return rows


def _relaxed_row(record: Record, result: RelaxationResult, named: Named, settings: str | None) -> Record:
    positions = record.positions if result.positions is None else result.positions
    differences = _differences(record, positions) if result.status in PROCEED else None
    words = str(differences or "")
    changes: dict[str, Any] = {
        **named.changes,
        "positions": positions,
        "status": result.status,
        "message": "; ".join(filter(None, (result.message, words, _spin_note(record)))),
        "settings": settings,
        "start_settings": record.settings,
        "connectivity_unchanged": None if differences is None else not differences.bonds,
        "stereo_unchanged": None if differences is None or differences.bonds else not differences.stereo,
    }
    if named.start is not None:
        spent = result.n_gradients + result.n_gradients_cheap
        changes["cheap_energy_ev"] = result.energy_ev
        changes["n_gradients_cheap"] = record.n_gradients_cheap + spent
        level = level_name(json.loads(settings or "{}"))
        before = record.gradients_of_levels
        changes["gradients_of_levels"] = {**before, level: before.get(level, 0) + result.n_gradients}
        if differences:
            changes["status"] = "connectivity_changed"
            changes["message"] = f"relaxing to the start {named.start} changed the molecule: {words}"
        return record.after_start(named.stage, result.wall_s, **changes)
    changes |= {
        "converged": result.converged,
        "n_gradients": result.n_gradients,
        "n_steps": result.n_steps,
        "n_gradients_cheap": record.n_gradients_cheap + result.n_gradients_cheap,
        "energy_left_kcal_mol": result.energy_left_kcal_mol,
        "meets": result.meets,
        "start_energy_left_kcal_mol": result.start_energy_left_kcal_mol,
        "start_meets": result.start_meets,
        "n_gradients_check": result.n_gradients_check,
        "n_imaginary": result.n_imaginary,
        "lowest_frequency_cm": result.lowest_frequency_cm,
        **(result.thermochemistry or {}),
        "energy_ev": result.energy_ev,
        "start_energy_ev": result.start_energy_ev,
        "fmax_ev_ang": result.fmax_ev_ang,
        "start_positions": record.positions,
    }
    if result.status in PROCEED:
        changes |= _rmsds(record, positions)
    return record.after_stage(named.stage, result.wall_s, **changes)


def _spin_note(record: Record) -> str:
    """That a metal's spin state was taken as it stands: a SMILES without a multiplicity gives the lowest."""
    metals = [int(z) for z in np.unique(record.numbers) if any(z in block for block in _OPEN_SHELL_METALS)]
    if not metals:
        return ""
    named = ", ".join(chemical_symbols[z] for z in metals)
    return f"multiplicity {record.multiplicity}; with {named} another may lie lower (column multiplicity)"


_OPEN_SHELL_METALS = (range(21, 30), range(39, 48), range(57, 80), range(89, 104))
"""Atomic numbers of metals with d or f shells that are partly filled in some of their compounds."""


def _differences(record: Record, positions: np.ndarray) -> "Changes | None":
    """None where the row has no SMILES that fits its atoms."""
    from prerelax.molecules.stereo import changes

    try:
        return changes(record.smiles, positions, record.positions) if record.smiles else None
    except ValueError:
        return None


def _rmsds(record: Record, positions: np.ndarray) -> dict[str, float]:
    """RMSD in Å of the relaxed geometry to its start, and with symmetry-equivalent atoms matched."""
    from prerelax.molecules.graph import mol_from_mapped_smiles
    from prerelax.molecules.superposition import rmsd, symmetric_rmsd

    values = {"rmsd_ang": rmsd(record.positions, positions)}
    try:
        molecule = mol_from_mapped_smiles(record.smiles) if record.smiles else None
    except ValueError:
        molecule = None
    if molecule is not None and molecule.GetNumAtoms() == len(positions):
        values["rmsd_symmetry_ang"] = symmetric_rmsd(molecule, record.positions, positions)
    return values


def _write_trajectory(path: Path, shard: _Shard, settings: str) -> None:
    """All evaluations of all rows, in the rows' order; `n_gradients` of a frame is its place, from 1."""
    found = ((row, shard.results[key]) for row, key in shard.keys.items())
    write_frames(path, [frame for row, result in found for frame in _frames(shard, row, result, settings)])


def _frames(shard: _Shard, row: int, result: RelaxationResult, settings: str) -> Sequence[Atoms]:
    frames = []
    for place, evaluation in enumerate(result.path, start=1):
        record = replace(
            shard.records[row],
            **shard.named.changes,
            settings=settings,
            positions=evaluation.positions,
            n_gradients=place,
            energy_ev=evaluation.energy_ev,
            fmax_ev_ang=evaluation.fmax_ev_ang,
        )
        atoms = record.as_atoms()
        atoms.calc = SinglePointCalculator(atoms, energy=evaluation.energy_ev, forces=evaluation.forces)
        frames.append(atoms)
    return frames
