"""Starts made by a diffusion model: the geometries of a shard, denoised."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from prerelax.denoisers.checkpoint import CONFIG, WEIGHTS, LoadedModel, find_model, load_model
from prerelax.denoisers.model_folders import ModelError, kept_epoch
from prerelax.diffusion.confidence import judge_of, residuals_ang
from prerelax.diffusion.samplers import SampleResult, SamplerInput, sample
from prerelax.molecules.graph import bonds_unchanged
from prerelax.molecules.status import PROCEED, Status
from prerelax.molecules.topology import topological_distances
from prerelax.records.settings import settings_text, sha256_of_files
from prerelax.records.shard import Record, read_shard, write_frames, write_shard
from prerelax.starts.fallback import Subject, fall_back, subject_of
from prerelax.starts.options import Fallback


def diffuse_shard(
    inp: Path,
    out: Path,
    *,
    model: str,
    start: str,
    epoch: float | None = None,
    trajectory: Path | None = None,
    fallback: Fallback = "gfn2",
    workers: int = 1,
    **options: Any,
) -> None:
    """Denoise the geometries of `inp` with a model and write them as the start `start`.

    `options` are those of `prerelax.diffusion.samplers.sample`, None for its default. No geometry whose bonds
    are not its molecule's is handed on. What the model does not know, breaks, or is not sure of is relaxed
    with GFN2-xTB instead, in `workers` processes, with the status `fallback`; with `fallback` none it keeps
    its input geometry and the status of the failure, and doubts are told in the message alone. Rows that do
    not proceed are copied unchanged.
    With `epoch` the model is the one that the training in the folder `model` kept then; where it kept none
    the rows are `skipped`, since other epochs' figures can still be made.
    The seconds of a batch are shared out to its molecules by their pairs of atoms, which is what they cost.
    Raises ModelError for a model that cannot be loaded and ShardError for a broken input.
    """
    records = read_shard(inp)
    try:
        folder = model if epoch is None else kept_epoch(model, epoch)
    except ModelError as error:
        write_shard(out, [_skipped(record, start, str(error)) for record in records])
        if trajectory is not None:
            write_frames(trajectory, [])
        return
    scratch = out.with_name(f".{out.stem}-fallback")
    rows, results = denoised(
        records, folder, start, fallback, scratch, workers, trajectory is not None, **options
    )
    write_shard(out, rows)
    if trajectory is not None:
        shown = [i for i in results if rows[i].status != "fallback"]
        _write_trajectory(trajectory, [rows[i] for i in shown], [results[i] for i in shown])


def denoised(
    records: Sequence[Record],
    model: str | Path,
    start: str,
    fallback: Fallback,
    scratch: Path,
    workers: int = 1,
    keep_trajectory: bool = False,
    **options: Any,
) -> tuple[list[Record], dict[int, SampleResult]]:
    """The rows of `diffuse_shard`, and what the sampler made of those that it was given, by row.

    `scratch` is a folder that the fallback makes and removes.
    """
    denoiser = load_model(model)
    subjects = {i: subject_of(record) for i, record in enumerate(records) if record.proceeds}
    outcomes, results = _denoise(records, subjects, denoiser, start, fallback, keep_trajectory, options)
    doubtful = [i for i, outcome in outcomes.items() if outcome.doubt and fallback != "none"]
    given = [replace(outcomes[i].record, positions=records[i].positions) for i in doubtful]
    doubts = [outcomes[i].doubt for i in doubtful]
    instead = fall_back(given, [subjects[i] for i in doubtful], doubts, start, workers, scratch)
    settings = _settings(model, options)
    found = {i: replace(outcome.record, settings=settings) for i, outcome in outcomes.items()}
    found |= dict(zip(doubtful, instead, strict=True))
    return [found.get(i, record) for i, record in enumerate(records)], results


def _settings(model: str | Path, options: dict[str, Any]) -> str:
    """Options as given (None: the model's own, which its digest covers), whatever the model's name."""
    folder = find_model(model)
    said = {name: value for name, value in options.items() if value is not None}
    digest = sha256_of_files(folder / WEIGHTS, folder / CONFIG)
    return settings_text({"verb": "diffuse", "model": folder.name, "model_sha256": digest, **said}, "torch")


def _skipped(record: Record, start: str, message: str) -> Record:
    return replace(record, start=start, status="skipped", message=message) if record.proceeds else record


@dataclass(frozen=True)
class _Outcome:
    """What the denoiser made of a row, and why another method should be asked; empty where none should."""

    record: Record
    doubt: str = ""


def _denoise(
    records: Sequence[Record],
    subjects: dict[int, Subject],
    denoiser: LoadedModel,
    start: str,
    fallback: Fallback,
    keep_trajectory: bool,
    options: dict[str, Any],
) -> tuple[dict[int, _Outcome], dict[int, SampleResult]]:
    """Outcomes of the rows in `subjects`, and the sampler's results of those that it was given."""
    given = {name: value for name, value in options.items() if value is not None}
    asked = [
        i
        for i, subject in subjects.items()
        if not subject.contradiction and (fallback == "none" or not subject.objection)
    ]
    inputs = [_sampler_input(records[i], subjects[i]) for i in asked]
    began = time.perf_counter()
    results = sample(denoiser, inputs, keep_trajectory=keep_trajectory, **given)
    judge = judge_of(denoiser)
    residuals = _residuals_ang(denoiser, judge.network, inputs, results, given)
    seconds = _shared_out(time.perf_counter() - began, [len(molecule.numbers) for molecule in inputs])
    outcomes = {i: _not_asked(records[i], subject, start) for i, subject in subjects.items()}
    for i, result, residual, wall_s in zip(asked, results, residuals, seconds, strict=True):
        tried = records[i].after_stage(start, wall_s, start=start, residual_ang=residual, fallback=None)
        tried = replace(tried, n_iterations=_n_iterations(result), first_step=_first_step(result))
        outcomes[i] = _judged(tried, subjects[i], result, judge.limit_ang(len(tried.numbers)))
    return outcomes, dict(zip(asked, results, strict=True))


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


def _residuals_ang(
    denoiser: LoadedModel,
    judge: LoadedModel,
    inputs: Sequence[SamplerInput],
    results: Sequence[SampleResult],
    options: dict[str, Any],
) -> list[float | None]:
    """None where there is no denoised geometry to judge."""
    judged = [row for row, result in enumerate(results) if result.status in PROCEED]
    ends = [replace(inputs[row], positions=results[row].positions) for row in judged]
    where = {name: options[name] for name in ("batch_size", "device") if name in options}
    sampler = options.get("sampler") or denoiser.sampler_defaults.get("name", "edm")
    noisy = sampler == "edm" and not options.get("noise_free")
    found: list[float | None] = [None] * len(inputs)
    for row, residual in zip(judged, residuals_ang(judge, ends, noisy=noisy, **where), strict=True):
        found[row] = float(residual) if np.isfinite(residual) else None
    return found


def _not_asked(record: Record, subject: Subject, start: str) -> _Outcome:
    nothing: dict[str, Any] = dict.fromkeys(("residual_ang", "fallback", "n_iterations", "first_step"))
    row = record.after_stage(start, 0.0, start=start, **nothing)
    if subject.contradiction:
        return _Outcome(replace(row, status="input_error", message=subject.contradiction))
    return _Outcome(row, subject.objection)


def _judged(row: Record, subject: Subject, result: SampleResult, limit_ang: float | None) -> _Outcome:
    """A row, still at its input geometry, and what the sampler made of it."""
    if result.status not in PROCEED:
        row = replace(row, status=cast(Status, result.status), message=result.message)
        return _Outcome(row, "" if result.status == "input_error" else result.message)
    if not bonds_unchanged(subject.bonded, row.numbers, result.positions):
        doubt = "denoising broke or made a bond"
        message = f"{doubt}; the geometry before it is kept: try fewer steps"
        return _Outcome(replace(row, status="connectivity_changed", message=message), doubt)
    doubts = [subject.objection]
    if limit_ang is not None and (row.residual_ang or 0.0) > limit_ang:
        more = f"bonds and 1-3 distances by another {row.residual_ang:.4f} Å (limit {limit_ang:.4f} Å)"
        doubts.append(f"the model is not sure of its geometry and would change {more}")
    doubt = "; ".join(filter(None, doubts))
    message = "; ".join(filter(None, (result.message, doubt)))
    positions = np.asarray(result.positions, dtype=float)
    return _Outcome(replace(row, positions=positions, status=result.status, message=message), doubt)


def _shared_out(seconds: float, sizes: Sequence[int]) -> NDArray[np.float64]:
    pairs = np.array([n * n for n in sizes], dtype=float)
    return seconds * pairs / pairs.sum() if len(pairs) else pairs


def _write_trajectory(path: Path, records: Sequence[Record], results: Sequence[SampleResult]) -> None:
    """Every geometry of every molecule from the input on, in the rows' order; `call` counts from 0."""
    frames = []
    for record, result in zip(records, results, strict=True):
        for call, positions in enumerate(result.trajectory or ()):
            atoms = replace(record, positions=np.asarray(positions, dtype=float)).as_atoms()
            atoms.info["call"] = call
            frames.append(atoms)
    write_frames(path, frames)
