"""A set like QM7-X at any level: minima, displacements along their normal modes, energies, forces.

Minima and modes belong to one level (QM7-X: DFTB3+MBD), energies and forces to another (PBE0+MBD). What is
finished stands in `OUT.journal.jsonl`; a call that was killed goes on there.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from prerelax.datasets.graph_split import graph_key
from prerelax.datasets.qm7x import LabelledStructures, write_qm7x
from prerelax.errors import UserError
from prerelax.molecules.graph import bonded_matrix, connectivity_unchanged, mol_from_mapped_smiles
from prerelax.molecules.status import Status
from prerelax.molecules.superposition import rmsd
from prerelax.molecules.topology import COVALENT_RADII_ANG
from prerelax.records.atomic_write import write_text_atomically
from prerelax.records.record import Record
from prerelax.records.shard import read_shard
from prerelax.relaxation.journal import Journal, journal_path, molecule_key
from prerelax.relaxation.minimum import IMAGINARY_CM
from prerelax.relaxation.molecule import RelaxationResult
from prerelax.relaxation.pool import WorkerPool
from prerelax.relaxation.progress import Progress, console_progress
from prerelax.relaxation.settings import Only, Relaxation, Resources
from prerelax.relaxation.shard import FINAL, settings_of
from prerelax.relaxation.worker import kept_result, result_line
from prerelax.set_making.normal_modes import SOFT_CM, displacements, normal_modes
from prerelax.set_making.options import DisplacementOptions

APART = 2.0
TOO_CLOSE = 0.6
"""Multiples of the sum of covalent radii: no atoms of a displaced structure are nearer, and no gap between
its parts is wider. Of 2 500 structures of QM7-X 21 have such a gap, and none has atoms nearer than 0.74."""
DISPLACED_VERSION = 1
"""Raised when a change here alters geometries, so that journals of before are not taken for today's."""


@dataclass
class Row:
    """One line of `OUT.csv`: an equilibrium (displacement 0) or a displaced structure."""

    id: str
    conformer: int
    displacement: int
    status: Status = "ok"
    message: str = ""
    energy_ev: float | None = None
    """at the level of the labels"""
    harmonic_ev: float | None = None
    """above the minimum, by the normal modes"""
    rmsd_ang: float | None = None
    """from the equilibrium"""


@dataclass
class Outcome:
    """What became of a shard."""

    n_equilibria: int
    """minima with energies and forces"""
    n_structures: int
    """structures with energies and forces, the minima among them"""
    statuses: Counter[str]
    """of all rows"""
    n_computed: int
    """structures labelled now"""
    minima_per_s: float
    structures_per_s: float
    """labelled now, by all workers together; 0 where the journal had them all"""


@dataclass
class _Structure:
    """A geometry that is to be labelled."""

    row: Row
    record: Record
    """with the geometry as its positions"""
    key: str
    graph: int
    equilibrium: int


def displace(
    inp: Path,
    out: Path,
    options: DisplacementOptions,
    *,
    resources: Resources | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Write the set `out` (npz of `read_qm7x`) and its rows, the failed ones too, as `OUT.csv`.

    The rows of the shard `inp` that proceed and pass `options.minima.only` are relaxed, saddle points left
    along their modes, and displaced; the minima and all displacements get energies and forces at
    `options.labels`. Left out, with a status and a message: rows whose relaxation fails, has imaginary
    frequencies in the end or other bonds than the molecule, displacements that fall apart, and those whose
    energy the engine does not find. Raises UserError as `relax_shard` does, and where nothing is left.
    """
    resources = resources or Resources()
    found_minimum = {"optimizer": "bfgs-hessian", "check_minimum": "target", "kick": True}
    relaxation = options.minima.model_copy(update=found_minimum)
    evaluation = Relaxation.single_point(options.labels).model_copy(
        update={"timeout_s": options.minima.timeout_s}
    )
    records = [(record, _objection(record, options.minima.only)) for record in read_shard(inp)]
    settings = {**settings_of(relaxation), "hessian_kept": True}
    label_settings = {**settings_of(evaluation), "single_point": True}
    out.parent.mkdir(parents=True, exist_ok=True)
    with Journal(journal_path(out)) as journal:
        stage = _Stage(journal, resources, progress)
        keys = [molecule_key(record, settings) for record, _ in records]
        wanted = {k: r for k, (r, row) in zip(keys, records, strict=True) if row.status == "ok"}
        began = time.monotonic()
        relaxed, n_relaxed = stage.run(relaxation, wanted, keep_paths=True, without_paths=True)
        minima_s = time.monotonic() - began
        rows: list[Row] = []
        structures: list[_Structure] = []
        for number, (key, (record, row)) in enumerate(zip(keys, records, strict=True)):
            rows.append(row)
            if row.status != "ok":
                continue
            result = relaxed[key]
            row.status, row.message = _verdict(record, result)
            if row.status != "ok":
                continue
            found = list(_displaced(record, result, key, row, number, options, label_settings))
            rows += [structure.row for structure in found if structure.row is not row]
            structures += [structure for structure in found if structure.row.status == "ok"]
        began = time.monotonic()
        labelled, n_labelled = stage.run(
            evaluation, {s.key: s.record for s in structures}, keep_paths=True, without_paths=False
        )
        labels_s = time.monotonic() - began
    whole = _labelled_set(structures, labelled)
    write_text_atomically(out.with_suffix(".csv"), _table(rows))
    if not len(whole):
        raise UserError(f"{inp}: no structure has energies and forces; {out.with_suffix('.csv')} says why")
    write_qm7x(out, whole)
    assert whole.displacement is not None
    return Outcome(
        n_equilibria=int(np.sum(whole.displacement == 0)),
        n_structures=len(whole),
        statuses=Counter(row.status for row in rows),
        n_computed=n_labelled,
        minima_per_s=n_relaxed / minima_s if n_relaxed else 0.0,
        structures_per_s=n_labelled / labels_s if n_labelled else 0.0,
    )


@dataclass
class _Stage:
    """Relaxes molecules in worker processes; what is finished is in the journal."""

    journal: Journal
    resources: Resources
    progress: Callable[[Progress], None] | None

    def run(
        self, relaxation: Relaxation, molecules: dict[str, Record], keep_paths: bool, without_paths: bool
    ) -> tuple[dict[str, RelaxationResult], int]:
        """Results by journal key, and how many were computed now."""
        entries = self.journal.entries()
        found = {key: kept_result(entries.get(key), len(each.numbers)) for key, each in molecules.items()}
        known = {key: result for key, result in found.items() if result and result.status in FINAL}
        del entries
        order = [key for key in molecules if key not in known]
        resumed = len(known)
        pool = WorkerPool(relaxation, self.resources, keep_paths)
        with pool, console_progress(self.progress, len(molecules), resumed) as told:
            for index, result in pool.relax([molecules[key] for key in order]):
                key = order[index]
                kept = replace(result, path=[]) if without_paths else result
                self.journal.add(key, result_line(kept, keep_path=True))
                known[key] = kept
                shown = _shown(
                    result, molecules[key], len(known), len(molecules), single_point=not without_paths
                )
                if shown is not None:
                    told.finished(shown)
        return known, len(order)


def _shown(
    result: RelaxationResult, record: Record, done: int, total: int, single_point: bool
) -> Progress | None:
    """What a person is told: every minimum, of single points each hundredth and those that failed."""
    failed = result.energy_ev is None if single_point else result.status != "ok"
    if single_point and not failed and done % 100 and done != total:
        return None
    status: Status = result.status if failed else "ok"
    message = result.message if failed else ""
    return Progress(done, total, record.id, status, result.n_gradients, result.wall_s, message)


def _objection(record: Record, only: Only) -> Row:
    """The row of a minimum to be; its status says whether it is tried."""
    row = Row(record.id, record.conformer, 0)
    objection = only.objection(record.numbers)
    if not record.proceeds:
        row.status, row.message = record.status, record.message
    elif objection is not None:
        row.status, row.message = "skipped", objection
    return row


def _sampling_settings(options: DisplacementOptions) -> dict[str, object]:
    """What a displaced geometry depends on beside the minimum and its modes; not how many there are."""
    return {
        "temperature_k": options.temperature_k,
        "seed": options.seed,
        "soft_cm": SOFT_CM,
        "displaced_version": DISPLACED_VERSION,
    }


def _verdict(record: Record, result: RelaxationResult) -> tuple[Status, str]:
    """Whether a relaxation ended in a minimum of its molecule that has normal modes."""
    if result.status != "ok" or result.positions is None:
        return result.status, result.message
    if result.hessian is None:
        return "not_converged", result.message or "its Hessian could not be computed"
    if result.n_imaginary:
        return "not_converged", (
            f"imaginary frequencies: {result.n_imaginary} beyond {IMAGINARY_CM:g}i cm-1, the largest "
            f"{-(result.lowest_frequency_cm or 0.0):.0f}i: no minimum to displace from"
        )
    if not connectivity_unchanged(record.smiles, record.numbers, result.positions):
        return "connectivity_changed", "relaxed to other bonds than the molecule's"
    return "ok", ""


def _displaced(
    record: Record,
    result: RelaxationResult,
    key: str,
    row: Row,
    number: int,
    options: DisplacementOptions,
    label_settings: dict[str, object],
) -> Iterator[_Structure]:
    """The minimum itself as `row`, then its displacements; those that fall apart say so in their rows."""
    assert result.positions is not None and result.hessian is not None
    numbers, minimum = record.numbers, result.positions
    graph = graph_key(numbers, bonded_matrix(mol_from_mapped_smiles(record.smiles)))
    digest = hashlib.sha256(
        json.dumps([key, _sampling_settings(options)], sort_keys=True).encode()
    ).hexdigest()
    rng = np.random.default_rng(int(digest[:32], 16))
    modes = normal_modes(result.hessian, numbers, minimum)
    shifts, harmonic = displacements(modes, options.displacements, options.temperature_k, rng)
    row.harmonic_ev = row.rmsd_ang = 0.0
    for place, geometry in enumerate([minimum, *(minimum + shifts)]):
        here = row
        if place:
            here = Row(record.id, record.conformer, place, harmonic_ev=float(harmonic[place - 1]))
            here.rmsd_ang = rmsd(geometry, minimum)
            here.status, here.message = _wholeness(numbers, geometry)
        moved = replace(record, positions=geometry)
        # Not by the geometry: two machines may turn degenerate modes differently, and both are right.
        label = {"minimum": digest, "displacement": place, **label_settings}
        yield _Structure(here, moved, _key(label), graph, number)


def _key(label: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(label, sort_keys=True).encode()).hexdigest()


def _wholeness(numbers: NDArray[np.integer], geometry: NDArray[np.float64]) -> tuple[Status, str]:
    radii = COVALENT_RADII_ANG[numbers]
    distances = np.linalg.norm(geometry[:, None] - geometry, axis=-1) / (radii[:, None] + radii)
    np.fill_diagonal(distances, np.inf)
    n_parts = int(connected_components(distances < APART, return_labels=False))
    if n_parts > 1:
        return "connectivity_changed", f"displaced into {n_parts} parts"
    if len(numbers) > 1 and distances.min() < TOO_CLOSE:
        return "connectivity_changed", f"displaced until atoms are {distances.min():.2f} of a bond apart"
    return "ok", ""


def _labelled_set(structures: list[_Structure], labelled: dict[str, RelaxationResult]) -> LabelledStructures:
    """The structures that have energies and forces; the rows of all others hear why not."""
    kept: list[_Structure] = []
    for structure in structures:
        result = labelled[structure.key]
        if result.energy_ev is None or not result.path:
            structure.row.status = result.status
            structure.row.message = result.message or "no energy"
        else:
            structure.row.energy_ev = result.path[0].energy_ev
            kept.append(structure)
    points = [labelled[structure.key].path[0] for structure in kept]
    empty = np.zeros((0, 3))
    return LabelledStructures(
        n_atoms=np.array([len(s.record.numbers) for s in kept], dtype=np.int64),
        numbers=np.concatenate([np.zeros(0), *(s.record.numbers for s in kept)]).astype(np.uint8),
        positions=np.concatenate([empty, *(point.positions for point in points)]).astype(np.float32),
        energies=np.array([point.energy_ev for point in points], dtype=np.float64),
        forces=np.concatenate([empty, *(point.forces for point in points)]).astype(np.float32),
        graph=np.array([s.graph for s in kept], dtype=np.int64),
        equilibrium=np.array([s.equilibrium for s in kept], dtype=np.int64),
        displacement=np.array([s.row.displacement for s in kept], dtype=np.int64),
    )


def _table(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows([["" if v is None else v for v in vars(row).values()] for row in rows])
    return text.getvalue()
