"""Starts made by a diffusion model: the geometries of a shard, denoised."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prerelax.diffusion.checkpoint import CONFIG, WEIGHTS, find_model, load_model
from prerelax.diffusion.model_folders import ModelError, kept_epoch
from prerelax.diffusion.samplers import SampleResult, SamplerInput, sample
from prerelax.molecular_graph import bonded_matrix, connectivity_unchanged, mol_from_mapped_smiles
from prerelax.records import Record, read_shard, write_frames, write_shard
from prerelax.settings import settings_text, sha256_of_files
from prerelax.topology import bonds_from_geometry, topological_distances


def diffuse_shard(
    inp: Path,
    out: Path,
    *,
    model: str,
    start: str,
    epoch: float | None = None,
    trajectory: Path | None = None,
    **options: Any,
) -> None:
    """Denoise the geometries of `inp` with a model and write them as the start `start`.

    `options` are those of `prerelax.diffusion.samplers.sample`, None for its default. A geometry whose bonds
    are not those of its molecule any more gets the status `connectivity_changed`; rows that do not
    proceed are copied unchanged.
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
    denoiser = load_model(folder)
    settings = _settings(folder, options)
    treated = [i for i, record in enumerate(records) if record.proceeds]
    began = time.perf_counter()
    results = sample(
        denoiser,
        [_sampler_input(records[i]) for i in treated],
        keep_trajectory=trajectory is not None,
        **{name: value for name, value in options.items() if value is not None},
    )
    seconds = _shared_out(time.perf_counter() - began, [len(records[i].numbers) for i in treated])
    for i, result, wall_s in zip(treated, results, seconds, strict=True):
        records[i] = replace(_denoised(records[i], result, start, wall_s), settings=settings)
    write_shard(out, records)
    if trajectory is not None:
        _write_trajectory(trajectory, [records[i] for i in treated], results)


def _settings(model: str | Path, options: dict[str, Any]) -> str:
    """Options as given (None: the model's own, which its digest covers), whatever the model's name."""
    folder = find_model(model)
    said = {name: value for name, value in options.items() if value is not None}
    digest = sha256_of_files(folder / WEIGHTS, folder / CONFIG)
    return settings_text({"verb": "diffuse", "model": folder.name, "model_sha256": digest, **said}, "torch")


def _skipped(record: Record, start: str, message: str) -> Record:
    return replace(record, start=start, status="skipped", message=message) if record.proceeds else record


def _sampler_input(record: Record) -> SamplerInput:
    if record.smiles:
        bonds = bonded_matrix(mol_from_mapped_smiles(record.smiles))
    else:
        bonds = bonds_from_geometry(record.numbers, record.positions)
    return SamplerInput(
        id=f"{record.id}/{record.conformer}",
        numbers=record.numbers,
        positions=record.positions,
        topological_distance=topological_distances(bonds),
    )


def _denoised(record: Record, result: SampleResult, start: str, wall_s: float) -> Record:
    done = record.after_stage(start, wall_s, start=start, status=result.status, message=result.message)
    if not done.proceeds:
        return done
    if record.smiles and not connectivity_unchanged(record.smiles, record.numbers, result.positions):
        message = "denoising broke or made a bond; the geometry before it is kept: try fewer steps"
        return replace(done, status="connectivity_changed", message=message)
    return replace(done, positions=np.asarray(result.positions, dtype=float))


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
