"""The shard file: extended XYZ frames that `ase.io.read` opens, and a Parquet table of the rows' scalars.

Rows out of a stage are always the rows that went in; what happened to a molecule stands in its `status`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ase import Atoms
from numpy.typing import NDArray

from prerelax.errors import UserError
from prerelax.molecules.status import PROCEED, Status
from prerelax.records.atomic_write import write_atomically


class ShardError(UserError):
    """A file that is not a whole shard; the message names the file and what to do."""


def _no_atoms() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


def _no_positions() -> NDArray[np.float64]:
    return np.zeros((0, 3))


@dataclass(frozen=True)
class Record:
    """One row of a shard: a molecule's geometry at one stage and what happened to it there."""

    id: str
    numbers: NDArray[np.int64] = field(default_factory=_no_atoms)
    """[n_atoms] atomic numbers; zero atoms where the molecule never had a geometry"""
    positions: NDArray[np.float64] = field(default_factory=_no_positions)
    """[n_atoms, 3] Å"""
    smiles: str = ""
    """atom-mapped, all hydrogens, map number = position in the frame (from 1)"""
    charge: int = 0
    multiplicity: int = 1
    conformer: int = 0
    start: str = ""
    """name of the start whose geometry this is, or from which the relaxation began"""
    status: Status = "ok"
    message: str = ""
    wall_s: float = 0.0
    """seconds of the last stage"""
    stages_s: dict[str, float] = field(default_factory=dict)
    """seconds of every stage that led here, by the stage's name, the last one included"""
    n_gradients_cheap: int = 0
    """energy+forces evaluations below the target level spent on the way (xTB starts, cheap Hessians)"""

    fallback: str | None = None
    """why the start was made by another method than asked for; None where it was not"""
    residual_ang: float | None = None
    """how far a denoiser would still move the geometry that it made, see `prerelax.diffusion.confidence`"""

    n_iterations: int | None = None
    """of the denoiser's sampler that made the geometry"""
    first_step: int | None = None
    """the schedule's step at which it began; MoreRed's samplers predict it"""

    target: str | None = None
    """name of the target; None in a start"""
    converged: bool | None = None
    n_gradients: int | None = None
    """energy+forces evaluations at the target"""
    n_steps: int | None = None
    """accepted moves of the optimizer"""
    energy_ev: float | None = None
    start_energy_ev: float | None = None
    fmax_ev_ang: float | None = None
    connectivity_unchanged: bool | None = None
    rmsd_ang: float | None = None
    """between the start geometry and the relaxed one, after optimal rotation and translation"""
    rmsd_symmetry_ang: float | None = None
    """the same with symmetry-equivalent atoms matched"""
    n_gradients_check: int | None = None
    """gradients at the target that the check of the minimum took, not in `n_gradients`"""
    n_imaginary: int | None = None
    """imaginary frequencies at the relaxed geometry; None where it was not checked, above 0 at a saddle"""
    lowest_frequency_cm: float | None = None
    """of the target, cm⁻¹, an imaginary one negative; None where it was not measured"""
    zero_point_ev: float | None = None
    enthalpy_298_ev: float | None = None
    """electronic energy included; ideal gas at 298.15 K and 1 atm, as the Gibbs energy"""
    gibbs_298_ev: float | None = None
    settings: str | None = None
    """engine, level, optimizer, thresholds and versions behind the numbers, as JSON"""
    start_positions: NDArray[np.float64] | None = None
    """[n_atoms, 3] Å, the geometry from which the relaxation began"""

    @property
    def proceeds(self) -> bool:
        return self.status in PROCEED

    def after_stage(self, stage: str, wall_s: float, **changes: Any) -> "Record":
        """This record after one more stage: its seconds added under `stage`, `changes` made.

        Added, since a target may have the name of the start that led to it.
        """
        stages_s = {**self.stages_s, stage: self.stages_s.get(stage, 0.0) + wall_s}
        return replace(self, wall_s=wall_s, stages_s=stages_s, **changes)

    def as_atoms(self) -> Atoms:
        """ASE's Atoms with all scalars in `info`; `start_positions`, where known, in `arrays`."""
        atoms = Atoms(numbers=self.numbers, positions=self.positions)
        if self.start_positions is not None:
            atoms.arrays["start_positions"] = np.asarray(self.start_positions, dtype=float)
        atoms.info = {name: value for name, value in self.scalars().items() if value is not None}
        return atoms

    def scalars(self) -> dict[str, Any]:
        """All fields but the per-atom ones."""
        return {name: getattr(self, name) for name in _SCALARS}


_PER_ATOM = ("numbers", "positions", "start_positions")
_SCALARS = tuple(f.name for f in fields(Record) if f.name not in _PER_ATOM)
_TABLE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("smiles", pa.string()),
        ("charge", pa.int32()),
        ("multiplicity", pa.int32()),
        ("conformer", pa.int32()),
        ("start", pa.string()),
        ("status", pa.string()),
        ("message", pa.string()),
        ("wall_s", pa.float64()),
        ("stages_s", pa.string()),
        ("n_gradients_cheap", pa.int64()),
        ("fallback", pa.string()),
        ("residual_ang", pa.float64()),
        ("n_iterations", pa.int64()),
        ("first_step", pa.int64()),
        ("target", pa.string()),
        ("converged", pa.bool_()),
        ("n_gradients", pa.int64()),
        ("n_steps", pa.int64()),
        ("energy_ev", pa.float64()),
        ("start_energy_ev", pa.float64()),
        ("fmax_ev_ang", pa.float64()),
        ("connectivity_unchanged", pa.bool_()),
        ("rmsd_ang", pa.float64()),
        ("rmsd_symmetry_ang", pa.float64()),
        ("n_gradients_check", pa.int64()),
        ("n_imaginary", pa.int64()),
        ("lowest_frequency_cm", pa.float64()),
        ("zero_point_ev", pa.float64()),
        ("enthalpy_298_ev", pa.float64()),
        ("gibbs_298_ev", pa.float64()),
        ("settings", pa.string()),
        ("n_atoms", pa.int32()),
    ]
)


def table_path(shard: Path) -> Path:
    """The Parquet table beside a shard's frames."""
    return shard.with_suffix(".parquet")


def write_shard(path: Path, records: Sequence[Record]) -> None:
    """Write the frames to `path` and their table beside it, each under a temporary name first.

    The frames are moved last, so that a shard whose frames exist is whole. Raises ShardError unless .extxyz.
    """
    if path.suffix != ".extxyz":
        raise ShardError(f"{path}: a shard is written as .extxyz; give the output that suffix")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(table_path(path), lambda part: pq.write_table(as_table(records), part))
    write_frames(path, [record.as_atoms() for record in records])


def write_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """Write frames (of a trajectory, say) as extended XYZ, every string in their `info` safe from ASE."""
    path.parent.mkdir(parents=True, exist_ok=True)
    safe = [_with_safe_info(atoms) for atoms in frames]
    write_atomically(path, lambda part: ase.io.write(part, safe, format="extxyz"))


def _with_safe_info(atoms: Atoms) -> Atoms:
    frame = atoms.copy()
    frame.calc = atoms.calc  # ASE writes the energies and forces that it holds
    frame.info = {name: _to_info(value) for name, value in atoms.info.items()}
    return frame


def as_table(records: Iterable[Record]) -> pa.Table:
    """The records' scalars and `n_atoms` as an Arrow table; `stages_s` as JSON."""
    rows = [{**r.scalars(), "stages_s": json.dumps(r.stages_s), "n_atoms": len(r.numbers)} for r in records]
    return pa.Table.from_pylist(rows, schema=_TABLE_SCHEMA)


def read_shard(path: Path) -> list[Record]:
    """All records of a shard, in order. Raises ShardError where the file is missing, cut short or foreign."""
    try:
        images = ase.io.read(path, index=":", format="extxyz")
    except FileNotFoundError:
        raise ShardError(f"{path}: no such shard; run the stage that writes it first") from None
    except Exception as error:
        raise ShardError(f"{path}: not a whole shard ({error}); delete it and run its stage again") from error
    return [record_of_frame(atoms, path, row) for row, atoms in enumerate(images)]


def record_of_frame(atoms: Atoms, path: Path, row: int) -> Record:
    """The record behind frame `row` of `path`. Raises ShardError where prerelax did not write it."""
    missing = {"id", "status", "start"} - set(atoms.info)
    if missing:
        raise ShardError(
            f"{path}: frame {row} lacks {', '.join(sorted(missing))}; this is not a shard that prerelax wrote"
        )
    scalars = {name: _from_info(atoms.info[name]) for name in _SCALARS if name in atoms.info}
    start_positions = atoms.arrays.get("start_positions")
    return Record(
        numbers=atoms.numbers.astype(np.int64),
        positions=atoms.positions,
        start_positions=None if start_positions is None else np.asarray(start_positions, dtype=float),
        **scalars,
    )


def _to_info(value: Any) -> Any:
    # ASE's extxyz turns strings such as 000123, T and 1e5 into numbers and booleans, and its reader takes one
    # level of backslashes away that its writer does not add.
    if not isinstance(value, str | dict):
        return value
    return "_JSON " + json.dumps(value).replace("\\", "\\\\")


def _from_info(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic | np.ndarray) else value
