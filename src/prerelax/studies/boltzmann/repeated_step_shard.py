"""Chains of one repeated denoising step for the molecules of a shard, and the geometries that they visit."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import cast

import numpy as np
from ase import Atoms

from prerelax.denoisers.checkpoint import CONFIG, WEIGHTS, find_model, load_model
from prerelax.diffusion.samplers import SamplerInput
from prerelax.molecules.status import Status
from prerelax.molecules.topology import topological_distances
from prerelax.records.record import Record
from prerelax.records.settings import settings_text, sha256_of_files
from prerelax.records.shard import read_shard, write_frames, write_shard
from prerelax.starts.fallback import Subject, subject_of
from prerelax.studies.boltzmann.config import RepeatedStep
from prerelax.studies.boltzmann.repeated_step import ChainInput, ChainPlan, ChainResult, repeat_step


def start_of_step(step: int) -> str:
    """Name of the start whose geometries a chain of step n visits."""
    return f"step-n{step}"


def repeat_step_shard(
    inp: Path,
    out: Path,
    frames: Path,
    settings: RepeatedStep,
    device: str = "auto",
) -> "Counter[str]":
    """Run chains for every row of `inp`, as many as the settings' replicas; count the rows' statuses.

    `out` gets rows × replicas rows (conformer c of replica k is c × replicas + k) with the last geometry of
    each chain and its status; `frames`, what `prerelax energies` reads, the geometries kept of the chains
    that are ok and of no other: `call` counts the kept ones from 0. Rows that do not proceed stay as they
    are. Raises ModelError, ShardError, UserError.
    """
    plan = ChainPlan(settings.step, settings.repeats, settings.burn_in, settings.every, settings.scheme)
    records = [
        replace(record, conformer=record.conformer * settings.replicas + k, start=start_of_step(plan.step))
        for record in read_shard(inp)
        for k in range(settings.replicas)
    ]
    denoiser, folder = load_model(settings.model), find_model(settings.model)
    subjects = {i: subject_of(record) for i, record in enumerate(records) if record.proceeds}
    asked = [i for i, subject in subjects.items() if not subject.contradiction]
    began = perf_counter()
    inputs = [_chain_input(records[i], subjects[i]) for i in asked]
    chains = repeat_step(denoiser, inputs, plan, settings.batch_size, device, settings.seed)
    results = dict(zip(asked, chains, strict=True))
    wall_s = (perf_counter() - began) / max(1, len(asked))
    digest = sha256_of_files(folder / WEIGHTS, folder / CONFIG)
    said = {
        "verb": "boltzmann",
        "model": folder.name,
        "model_sha256": digest,
        "seed": settings.seed,
        **vars(plan),
    }
    text = settings_text(said, "torch")
    rows = []
    for i, record in enumerate(records):
        if i in results:
            record = replace(_row(record, subjects[i], results[i], wall_s), settings=text)
        elif i in subjects:
            record = replace(record, status="input_error", message=subjects[i].contradiction)
        rows.append(record)
    write_frames(frames, list(_kept(rows, results, plan)))
    write_shard(out, rows)
    return Counter(row.status for row in rows)


def _chain_input(record: Record, subject: Subject) -> ChainInput:
    distances = topological_distances(subject.bonded)
    name = f"{record.id}/{record.conformer}"
    return ChainInput(SamplerInput(name, record.numbers, record.positions, distances), subject.bonded)


def _row(record: Record, subject: Subject, result: ChainResult, wall_s: float) -> Record:
    message = "; ".join(filter(None, (result.message, subject.objection)))
    positions = result.geometries[-1].astype(float) if len(result.geometries) else record.positions
    status = cast(Status, result.status)
    return record.after_stage(record.start, wall_s, positions=positions, status=status, message=message)


def _kept(rows: Sequence[Record], results: dict[int, ChainResult], plan: ChainPlan) -> Iterator[Atoms]:
    for i, result in results.items():
        if result.status != "ok":
            continue
        for call, positions in enumerate(result.geometries):
            atoms = replace(rows[i], positions=np.asarray(positions, dtype=float)).as_atoms()
            atoms.info |= {"call": call, "chain_step": plan.burn_in + (call + 1) * plan.every}
            yield atoms
