"""Energies and forces of given geometries at a level, such as those of a denoiser's path."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from prerelax.engines import Level
from prerelax.errors import MissingProgramError
from prerelax.records.record import Record
from prerelax.records.shard import ShardError, record_of_frame, write_frames
from prerelax.relaxation.journal import Journal, journal_path, molecule_key
from prerelax.relaxation.molecule import RelaxationResult
from prerelax.relaxation.pool import WorkerPool
from prerelax.relaxation.progress import Progress, console_progress
from prerelax.relaxation.settings import Only, Relaxation, Resources
from prerelax.relaxation.shard import FINAL, settings_of
from prerelax.relaxation.worker import kept_result, result_line


@dataclass(frozen=True)
class Frame:
    """One geometry of a path, and what is known of it at a level."""

    record: Record
    call: int
    """place on the path; 0 is its beginning"""
    energy_ev: float | None = None
    forces: NDArray[np.float64] | None = None
    """[n_atoms, 3] eV/Å"""

    @property
    def molecule(self) -> tuple[str, int]:
        """id and conformer"""
        return self.record.id, self.record.conformer


def read_frames(path: Path) -> list[Frame]:
    """The frames of a trajectory, with energies where it has them. Raises ShardError for another file.

    A shard is read as well, each of its rows as a path of one frame.
    """
    try:
        images = ase.io.read(path, index=":", format="extxyz") if path.stat().st_size else []
    except FileNotFoundError:
        raise ShardError(
            f"{path}: no such trajectory; run `prerelax diffuse` or `relax` with --trajectory first"
        ) from None
    except Exception as error:
        raise ShardError(f"{path}: not a whole trajectory ({error}); delete it and make it again") from error
    return [_frame(atoms, path, place) for place, atoms in enumerate(images)]


def _frame(atoms: Atoms, path: Path, place: int) -> Frame:
    record, call = record_of_frame(atoms, path, place), int(atoms.info.get("call", 0))
    if atoms.calc is None:
        return Frame(record, call)
    return Frame(record, call, float(atoms.get_potential_energy()), atoms.get_forces())


EVERYTHING = Only()


@dataclass(frozen=True)
class Chosen:
    """Which frames of a trajectory are evaluated."""

    every: int = 1
    """keep every N-th frame of a molecule, and its last one"""
    molecules: int | None = None
    """the first so many that pass `only`"""
    only: Only = EVERYTHING


def single_points(
    inp: Path,
    out: Path,
    level: Level,
    *,
    chosen: Chosen | None = None,
    resources: Resources | None = None,
    go_on_without_program: bool = False,
) -> "Counter[str]":
    """Write the `chosen` frames of the trajectory `inp` with energies and forces; count their statuses.

    A frame without an energy keeps its place, with a status and a message. What is known is kept in
    `OUT.journal.jsonl`: killed and called again, the rest is done. Raises as `relax_shard` does, but with
    `go_on_without_program` all frames say that the program behind the engine is not installed.
    """
    frames = list(_chosen(read_frames(inp), chosen or Chosen()))
    evaluation = Relaxation.single_point(level)
    try:
        settings = {**settings_of(evaluation), "single_point": True}
    except MissingProgramError as error:
        if not go_on_without_program:
            raise
        missing = RelaxationResult(status="resource_error", message=str(error))
        return _write(out, [_evaluated(frame, missing) for frame in frames], None)
    keys = [molecule_key(frame.record, settings) for frame in frames]
    with Journal(journal_path(out)) as journal:
        entries = journal.entries()
        kept = {
            key: kept_result(entries.get(key), len(frame.record.numbers))
            for key, frame in zip(keys, frames, strict=True)
        }
        known = {key: result for key, result in kept.items() if result and result.status in FINAL}
        waiting = {key: frame.record for key, frame in zip(keys, frames, strict=True) if key not in known}
        pool = WorkerPool(evaluation, resources, keep_paths=True)
        with pool, console_progress(None, len(frames), len(known)) as told:
            order = list(waiting)
            for index, result in pool.relax([waiting[key] for key in order]):
                known[order[index]] = result
                journal.add(order[index], result_line(result, keep_path=True))
                told.finished(_progress(result, waiting[order[index]], len(known), len(frames)))
    done = [_evaluated(frame, known[key]) for key, frame in zip(keys, frames, strict=True)]
    return _write(out, done, json.dumps(settings, sort_keys=True))


def _write(out: Path, frames: Sequence[Frame], settings: str | None) -> "Counter[str]":
    write_frames(out, [_as_atoms(frame, settings) for frame in frames])
    return Counter(frame.record.status for frame in frames)


def _chosen(frames: Sequence[Frame], chosen: Chosen) -> Iterator[Frame]:
    last = {frame.molecule: frame.call for frame in frames}
    treated = (f for f in frames if f.call == 0 and chosen.only.objection(f.record.numbers) is None)
    allowed = [frame.molecule for frame in treated][: chosen.molecules]
    for frame in frames:
        at_its_turn = frame.call % chosen.every == 0 or frame.call == last[frame.molecule]
        if frame.molecule in allowed and at_its_turn:
            yield frame


def _evaluated(frame: Frame, result: RelaxationResult) -> Frame:
    if result.energy_ev is None or not result.path:
        message = result.message or "no energy"
        return replace(frame, record=replace(frame.record, status=result.status, message=message))
    return replace(
        frame,
        record=replace(frame.record, status="ok", message="", wall_s=result.wall_s),
        energy_ev=result.path[0].energy_ev,
        forces=result.path[0].forces,
    )


def _progress(result: RelaxationResult, record: Record, done: int, total: int) -> Progress:
    status = result.status if result.energy_ev is None else "ok"
    message = result.message if result.energy_ev is None else ""
    return Progress(done, total, record.id, status, result.n_gradients, result.wall_s, message)


def _as_atoms(frame: Frame, settings: str | None) -> Atoms:
    record = replace(frame.record, energy_ev=frame.energy_ev, settings=settings)
    atoms = record.as_atoms()
    info: dict[str, object] = {**atoms.info, "call": frame.call}
    atoms.info = info
    if frame.energy_ev is not None:
        atoms.calc = SinglePointCalculator(atoms, energy=frame.energy_ev, forces=frame.forces)
    return atoms
