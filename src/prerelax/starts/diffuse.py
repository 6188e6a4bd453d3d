"""Starts made by a diffusion model: it denoises the geometries of a shard."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prerelax.denoisers.checkpoint import LoadedModel, find_model, load_model
from prerelax.denoisers.choosing import AUTO, Choice, charges_known, choose
from prerelax.denoisers.model_folders import ModelError, kept_epoch, model_digests
from prerelax.diffusion.confidence import limit_of, residuals_of
from prerelax.diffusion.energy_left import energies_left_kcal_mol
from prerelax.diffusion.one_more_call import changes_by_one_more_call
from prerelax.diffusion.samplers import SampleResult, SamplerInput, sample, sampler_name
from prerelax.molecules.constraints import Constraints
from prerelax.molecules.status import PROCEED
from prerelax.molecules.topology import topological_distances
from prerelax.records.record import NOT_DENOISED, Record
from prerelax.records.settings import settings_text
from prerelax.records.shard import read_shard, write_frames, write_shard
from prerelax.starts.fallback import Subject, fall_back, subject_of
from prerelax.starts.found_before import minima_known
from prerelax.starts.options import DiffuseOptions


def diffuse_shard(
    inp: Path,
    out: Path,
    options: DiffuseOptions,
    start: str,
    *,
    workers: int = 1,
    trajectory: Path | None = None,
    known: Sequence[Path] = (),
) -> list[Record]:
    """Denoise the geometries of `inp` with a model and write them as the start `start`; returns the rows.

    Molecules whose minima are in the relaxed shards `known` are not denoised: these are their starts.

    A geometry with other bonds than its molecule's is never handed on. Molecules that the model does not
    know, breaks or is unsure of are relaxed with GFN2-xTB instead, in `workers` processes, and get the status
    `fallback`. With `fallback` none they keep their input geometry and the status of the failure, and doubts
    appear in the message alone. Rows that do not proceed are copied unchanged. If the training did not keep a
    model of this `epoch`, all rows are `skipped`: figures of other epochs can still be made. The time of a
    batch is divided among its molecules by their numbers of atom pairs.
    Raises ModelError for a model that cannot be loaded and ShardError for a broken input.
    """
    records = read_shard(inp)
    try:
        folder = options.model if options.epoch is None else kept_epoch(options.model, options.epoch)
    except ModelError as error:
        rows = [_skipped(record, start, str(error)) for record in records]
        write_shard(out, rows)
        if trajectory is not None:
            write_frames(trajectory, [])
        return rows
    scratch = out.with_name(f".{out.stem}-fallback")
    made_with = options.model_copy(update={"model": str(folder), "epoch": None})
    found = minima_known(records, known, start)
    waiting = [
        replace(record, status="skipped") if i in found else record for i, record in enumerate(records)
    ]
    rows, results = denoised(waiting, made_with, start, scratch, workers, trajectory is not None)
    rows = [found.get(i, row) for i, row in enumerate(rows)]
    write_shard(out, rows)
    if trajectory is not None:
        shown = [i for i in results if rows[i].status != "fallback"]
        _write_trajectory(trajectory, [rows[i] for i in shown], [results[i] for i in shown])
    return rows


def denoised(
    records: Sequence[Record],
    options: DiffuseOptions,
    start: str,
    scratch: Path,
    workers: int = 1,
    keep_trajectory: bool = False,
) -> tuple[list[Record], dict[int, SampleResult]]:
    """The rows of `diffuse_shard`, and the sampler's results by row.

    `scratch` is a folder that the fallback creates and removes.
    """
    charges = charges_known(options.model)
    subjects = {i: subject_of(record, charges) for i, record in enumerate(records) if record.proceeds}
    outcomes: dict[int, _Outcome] = {}
    results: dict[int, SampleResult] = {}
    for choice, rows in _by_model(records, subjects, options).items():
        asked = {i: subjects[i] for i in rows}
        if choice.model is None:
            unfit = {i: _not_asked(records[i], subjects[i], start, choice.why) for i in rows}
            outcomes |= (
                unfit if options.fallback != "none" else {i: each.given_up for i, each in unfit.items()}
            )
            continue
        of_model = options.model_copy(update={"model": choice.model, "level": None})
        made, found_by = _Denoising(load_model(choice.model), of_model, start, keep_trajectory).run(
            records, asked
        )
        settings = _settings(of_model, is_chosen=bool(choice.why))
        outcomes |= {i: outcome.with_note(choice.why, settings) for i, outcome in made.items()}
        results |= found_by
    doubtful = [i for i, outcome in outcomes.items() if outcome.doubt and options.fallback != "none"]
    given = [replace(outcomes[i].record, positions=records[i].positions) for i in doubtful]
    doubts = [outcomes[i].doubt for i in doubtful]
    instead = fall_back(given, [subjects[i] for i in doubtful], doubts, start, workers, scratch)
    found = {i: outcome.record for i, outcome in outcomes.items()}
    found |= dict(zip(doubtful, instead, strict=True))
    return [found.get(i, record) for i, record in enumerate(records)], results


def _by_model(
    records: Sequence[Record], subjects: Mapping[int, Subject], options: DiffuseOptions
) -> dict[Choice, list[int]]:
    """The rows of `subjects` by the model that they are given to."""
    if options.model != AUTO:
        return {Choice(options.model, ""): list(subjects)}
    found: dict[Choice, list[int]] = {}
    for i in subjects:
        record, level = records[i], options.level or ""
        choice = choose(record.numbers.tolist(), record.charge, level, _minimised_with(record))
        found.setdefault(choice, []).append(i)
    return found


def _minimised_with(record: Record) -> str:
    """The method whose minimum a row's geometry is; empty where it is none."""
    made = json.loads(record.settings or "{}")
    return str(made.get("method", "")).lower() if made.get("verb") != "embed" else ""


def _settings(options: DiffuseOptions, is_chosen: bool = False) -> str:
    """The options that were given, and digests of the models. What is left to a model is covered by these."""
    digests = model_digests(options.model, options.time_model)
    said = {"model": find_model(options.model).name, **digests, **options.sampling}
    return settings_text({"verb": "diffuse", **({"chosen": AUTO} if is_chosen else {}), **said}, "torch")


def _skipped(record: Record, start: str, message: str) -> Record:
    if not record.proceeds:
        return record
    return replace(record.as_start(), start=start, status="skipped", message=message, **NOT_DENOISED)


@dataclass(frozen=True)
class _Outcome:
    """A denoised row, and why another method should replace it; empty if it need not."""

    record: Record
    doubt: str = ""

    @property
    def given_up(self) -> "_Outcome":
        """The same where nothing replaces it."""
        if self.record.status == "input_error":
            return self
        return _Outcome(replace(self.record, status="unsupported_element", message=self.doubt))

    def with_note(self, note: str, settings: str) -> "_Outcome":
        """The same, with what chose its model in the message, and the settings behind it."""
        message = "; ".join(filter(None, (self.record.message, note)))
        return replace(self, record=replace(self.record, message=message, settings=settings))


@dataclass(frozen=True)
class _Denoising:
    """How rows are denoised."""

    model: LoadedModel
    options: DiffuseOptions
    start: str
    keep_trajectory: bool

    def run(
        self, records: Sequence[Record], subjects: dict[int, Subject]
    ) -> tuple[dict[int, _Outcome], dict[int, SampleResult]]:
        """Outcomes of the rows in `subjects`, and the sampler's results for those that it was given."""
        asked = [i for i, subject in subjects.items() if self._is_asked(subject)]
        inputs = [_sampler_input(records[i], subjects[i]) for i in asked]
        began = time.perf_counter()
        results = sample(self.model, inputs, self.options, keep_trajectory=self.keep_trajectory)
        limit = limit_of(self.model)
        residuals, energies = self._confidence(limit.reference_model, inputs, results)
        seconds = _shared_out(time.perf_counter() - began, [len(molecule.numbers) for molecule in inputs])
        outcomes = {i: _not_asked(records[i], subject, self.start) for i, subject in subjects.items()}
        measured = zip(asked, results, residuals, energies, seconds, strict=True)
        for i, result, residual, energy, wall_s in measured:
            row = records[i].after_start(
                self.start,
                wall_s,
                start=self.start,
                residual_ang=residual,
                denoised_energy_left_kcal_mol=energy,
                n_iterations=_n_iterations(result),
                first_step=_first_step(result),
            )
            outcomes[i] = _outcome(row, subjects[i], result, limit.limit_ang(len(row.numbers)))
        return outcomes, dict(zip(asked, results, strict=True))

    def _is_asked(self, subject: Subject) -> bool:
        """Whether a molecule is given to the sampler."""
        return not subject.contradiction and (self.options.fallback == "none" or not subject.objection)

    def _confidence(
        self, reference_model: LoadedModel, inputs: Sequence[SamplerInput], results: Sequence[SampleResult]
    ) -> tuple[list[float | None], list[float | None]]:
        """Residuals in Å and expected energies left in kcal/mol; None where there is no denoised geometry."""
        rows = [row for row, result in enumerate(results) if result.status in PROCEED]
        ends = [replace(inputs[row], positions=results[row].positions) for row in rows]
        noisy = sampler_name(self.options, self.model) == "edm" and not self.options.noise_free
        said = self.options.batch_size, self.options.device, noisy
        own = changes_by_one_more_call(self.model, ends, *said)
        is_own = reference_model is self.model
        judged = own if is_own else changes_by_one_more_call(reference_model, ends, *said)
        measured = residuals_of(judged), energies_left_kcal_mol(self.model, own)
        residuals, energies = (
            {row: float(value) for row, value in zip(rows, values, strict=True) if np.isfinite(value)}
            for values in measured
        )
        every = range(len(inputs))
        return [residuals.get(row) for row in every], [energies.get(row) for row in every]


def _n_iterations(result: SampleResult) -> int:
    return result.n_calls if result.steps_taken is None else len(result.steps_taken)


def _first_step(result: SampleResult) -> int | None:
    """None where no step was predicted."""
    return result.steps_taken[0] if result.steps_taken and result.steps_taken[0] >= 0 else None


def _sampler_input(record: Record, subject: Subject) -> SamplerInput:
    return SamplerInput(
        id=f"{record.id}/{record.conformer}",
        numbers=record.numbers,
        positions=record.positions,
        topological_distance=topological_distances(subject.bonded),
    )


def _not_asked(record: Record, subject: Subject, start: str, objection: str = "") -> _Outcome:
    row = record.after_start(start, 0.0, start=start)
    if subject.contradiction:
        return _Outcome(replace(row, status="input_error", message=subject.contradiction))
    return _Outcome(row, subject.objection or objection)


def _outcome(row: Record, subject: Subject, result: SampleResult, limit_ang: float | None) -> _Outcome:
    """The outcome of a row, which is still at its input geometry, given the sampler's result.

    No energy left is known where that geometry is kept, nor where constraints hold.
    """
    energy, row = row.denoised_energy_left_kcal_mol, replace(row, denoised_energy_left_kcal_mol=None)
    if result.status not in PROCEED:
        row = replace(row, status=result.status, message=result.message)
        return _Outcome(row, "" if result.status == "input_error" else result.message)
    held = Constraints.read(row.constraints or "", n_atoms=len(row.numbers))
    try:
        result = replace(result, positions=held.imposed(result.positions, row.positions)) if held else result
    except ValueError as error:
        return _Outcome(row, f"the denoised geometry is another: {error}")
    if changed := subject.changed(row.numbers, result.positions, row.positions):
        doubt = f"denoising changed the molecule ({changed})"
        message = f"{doubt}; the geometry before it is kept: try fewer steps"
        return _Outcome(replace(row, status="connectivity_changed", message=message), doubt)
    doubts = [subject.objection]
    if limit_ang is not None and (row.residual_ang or 0.0) > limit_ang:
        more = f"bonds and 1-3 distances by another {row.residual_ang:.4f} Å (limit {limit_ang:.4f} Å)"
        doubts.append(f"the model is not sure of its geometry and would change {more}")
    doubt = "; ".join(filter(None, doubts))
    message = "; ".join(filter(None, (result.message, doubt)))
    positions = np.asarray(result.positions, dtype=float)
    made = replace(
        row,
        positions=positions,
        status=result.status,
        message=message,
        denoised_energy_left_kcal_mol=None if held else energy,
    )
    return _Outcome(made, doubt)


def _shared_out(seconds: float, sizes: Sequence[int]) -> NDArray[np.float64]:
    pairs = np.array([n * n for n in sizes], dtype=float)
    return seconds * pairs / pairs.sum() if len(pairs) else pairs


def _write_trajectory(path: Path, records: Sequence[Record], results: Sequence[SampleResult]) -> None:
    """All geometries of every molecule, the input first, in the order of the rows; `call` counts from 0."""
    frames = []
    for record, result in zip(records, results, strict=True):
        for call, positions in enumerate(result.trajectory or ()):
            atoms = replace(record, positions=np.asarray(positions, dtype=float)).as_atoms()
            atoms.info["call"] = call
            frames.append(atoms)
    write_frames(path, frames)
