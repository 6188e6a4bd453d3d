"""Starts whose minimum is known: displaced and noised minima, as in MoreRed's test."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from prerelax.datasets.graph_split import extreme_displacements
from prerelax.datasets.qm7x import LabelledStructures, read_qm7x
from prerelax.molecules.superposition import rmsd
from prerelax.records.record import Record
from prerelax.records.settings import settings_text, sha256_of_files
from prerelax.records.shard import read_shard, write_shard

SAME_MINIMUM_ANG = 0.01
"""RMSD below which a row's geometry is the equilibrium of the set: files hold them in other precision."""
TIMESTEPS = 1000
"""of MoreRed's schedule"""


def displaced_shard(inp: Path, out: Path, set_path: Path, start: str) -> None:
    """Write three rows for every row of `inp`: its displacements of smallest, middle and largest RMSD.

    They are those that the set `set_path` (npz of `read_qm7x`) has of the equilibrium that is the row's
    geometry; the conformers 0, 1, 2 are in that order. A row whose equilibrium or whose displacements are not
    there is an `input_error`. Raises UserError for an unreadable set or shard.
    """
    structures = read_qm7x(set_path)
    geometries = np.split(structures.positions.astype(float), np.cumsum(structures.n_atoms)[:-1])
    known = _equilibria(structures, geometries)
    digest = sha256_of_files(set_path)
    settings = settings_text({"verb": "displaced", "set": set_path.name, "set_sha256": digest})
    rows: list[Record] = []
    for record in read_shard(inp):
        began = perf_counter()
        found = _displacements_of(record, known.get(record.numbers.astype(np.uint8).tobytes(), []))
        for place in range(3):
            row = replace(record, conformer=place, start=start)
            if record.proceeds and found is None:
                message = (
                    "the set has no equilibrium at this geometry, or fewer than three displacements of it"
                )
                row = replace(row, status="input_error", message=message)
            elif record.proceeds and found is not None:
                row = row.after_start(
                    start, perf_counter() - began, positions=geometries[int(found[place])], settings=settings
                )
            rows.append(row)
    write_shard(out, rows)


Known = list[tuple[NDArray[np.float64], NDArray[np.int64]]]


def _equilibria(
    structures: LabelledStructures, geometries: Sequence[NDArray[np.float64]]
) -> dict[bytes, Known]:
    """Geometry [n_atoms, 3] of every equilibrium and the rows [3] of its displacements, by its elements."""
    rows = extreme_displacements(structures)
    assert structures.equilibrium is not None and structures.displacement is not None
    minima = np.flatnonzero(structures.displacement == 0)
    of_number = {int(structures.equilibrium[row]): geometries[int(row)] for row in minima}
    ends = np.cumsum(structures.n_atoms)
    known: dict[bytes, Known] = defaultdict(list)
    for three in rows.reshape(-1, 3):
        last = int(ends[three[0]])
        elements = structures.numbers[last - int(structures.n_atoms[three[0]]) : last].tobytes()
        known[elements].append((of_number[int(structures.equilibrium[three[0]])], three))
    return known


def _displacements_of(record: Record, known: Known) -> NDArray[np.int64] | None:
    distances = [rmsd(geometry, record.positions) for geometry, _ in known]
    if not distances or min(distances) > SAME_MINIMUM_ANG:
        return None
    return known[int(np.argmin(distances))][1]


def diffused_shard(inp: Path, out: Path, steps: Sequence[int], start: str, seed: int = 0) -> None:
    """Write a row for every row of `inp` and each of `steps`: its geometry with that step's noise.

    x' = alpha x + sigma epsilon of MoreRed's polynomial schedule with 1000 steps, x and epsilon centred; the
    conformers 0, 1, ... are the steps in their order. The noise follows from id, step and `seed`. Raises
    UserError for an unreadable shard.
    """
    from prerelax.denoisers.morered_schedule import MoreRedSchedule

    schedule = MoreRedSchedule.polynomial(TIMESTEPS)
    alpha, sigma = schedule.alpha.numpy(), schedule.sigma.numpy()
    settings = settings_text({"verb": "diffused", "steps": list(steps), "seed": seed})
    rows = []
    for record in read_shard(inp):
        for place, step in enumerate(steps):
            row = replace(record, conformer=place, start=start)
            if record.proceeds:
                began = perf_counter()
                noise = centred(_noise(record, step, seed))
                moved = alpha[step] * centred(record.positions) + sigma[step] * noise
                row = row.after_start(start, perf_counter() - began, positions=moved, settings=settings)
            rows.append(row)
    write_shard(out, rows)


def _noise(record: Record, step: int, seed: int) -> NDArray[np.float64]:
    digest = hashlib.sha256(f"diffused/{record.id}/{step}/{seed}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big")).normal(size=record.positions.shape)


def centred(positions: NDArray[np.floating]) -> NDArray[np.float64]:
    """`positions` [n_atoms, 3] with their mean at the origin."""
    return np.asarray(positions - positions.mean(axis=0), dtype=float)
