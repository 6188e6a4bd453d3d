"""The row: a molecule at one stage. Its fields are declared here alone; tables' columns follow from them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa
from ase import Atoms
from numpy.typing import NDArray

from prerelax.molecules.status import PROCEED, Status
from prerelax.records.settings import level_name


@dataclass(frozen=True)
class Column:
    """What a field of a row is, and how tables keep it."""

    description: str
    unit: str = ""
    kind: pa.DataType | None = None
    """in Arrow; None: as its Python type, whole numbers in 64 bits"""
    compared: bool = False
    """`prerelax compare` reads it"""
    decimals: int = 4
    """of a number in comparison.csv"""
    absent_before: bool = False
    """shards of earlier versions lack it: nothing was checked then"""


def _no_atoms() -> NDArray[np.int64]:
    return np.zeros(0, dtype=np.int64)


def _no_positions() -> NDArray[np.float64]:
    return np.zeros((0, 3))


@dataclass(frozen=True)
class Record:
    """One row of a shard: a molecule's geometry at one stage and what happened to it there.

    Fields with a `Column` are the row's scalars, in the order of the table's columns. None: not known at
    this stage.
    """

    id: Annotated[str, Column("name of the molecule in the input", compared=True)]
    numbers: NDArray[np.int64] = field(default_factory=_no_atoms)
    """[n_atoms] atomic numbers; zero atoms where the molecule never had a geometry"""
    positions: NDArray[np.float64] = field(default_factory=_no_positions)
    """[n_atoms, 3] Å"""
    smiles: Annotated[
        str,
        Column("atom-mapped, all hydrogens, map number = position in the frame (from 1)", compared=True),
    ] = ""
    charge: Annotated[int, Column("of the molecule", "e", pa.int32(), compared=True)] = 0
    multiplicity: Annotated[int, Column("2S + 1", kind=pa.int32(), compared=True)] = 1
    conformer: Annotated[int, Column("counted from 0", kind=pa.int32(), compared=True)] = 0
    input_smiles: Annotated[
        str | None,
        Column("as the input has it", compared=True, absent_before=True),
    ] = None
    input_columns: Annotated[
        dict[str, str] | None,
        Column(
            "the input's other columns or data fields, by name",
            kind=pa.string(),
            compared=True,
            absent_before=True,
        ),
    ] = None
    isomer: Annotated[
        str | None,
        Column(
            "the isomer that was taken where the input leaves a configuration open",
            compared=True,
            absent_before=True,
        ),
    ] = None
    constraints: Annotated[
        str | None,
        Column(
            "what stays as it is in every stage (`prerelax.molecules.constraints`)",
            absent_before=True,
        ),
    ] = None
    start: Annotated[
        str,
        Column("name of the start whose geometry this is, or from which the relaxation began", compared=True),
    ] = ""
    status: Annotated[Status, Column("what became of the row", compared=True)] = "ok"
    message: Annotated[str, Column("why, in a sentence a chemist can act on", compared=True)] = ""
    wall_s: Annotated[float, Column("wall time of the last stage", "s", compared=True)] = 0.0
    stages_s: Annotated[
        dict[str, float],
        Column(
            "wall time of every stage that led here, by the stage's name, the last one included",
            "s",
            pa.string(),
            compared=True,
        ),
    ] = field(default_factory=dict)
    n_gradients_cheap: Annotated[
        int,
        Column(
            "energy+forces evaluations below the target level spent on the way (xTB starts, cheap Hessians)",
            compared=True,
        ),
    ] = 0
    gradients_of_levels: Annotated[
        dict[str, int],
        Column(
            "energy+forces evaluations spent on the start, by level (`prerelax.records.settings.level_name`)",
            kind=pa.string(),
            compared=True,
            absent_before=True,
        ),
    ] = field(default_factory=dict)

    cheap_energy_ev: Annotated[
        float | None,
        Column(
            "energy of the start at the cheaper level that it was relaxed at; by it conformers are kept",
            "eV",
            compared=True,
            decimals=8,
            absent_before=True,
        ),
    ] = None
    fallback: Annotated[
        str | None,
        Column(
            "why the start was made by another method than asked for; None where it was not",
            compared=True,
            absent_before=True,
        ),
    ] = None
    residual_ang: Annotated[
        float | None,
        Column(
            "how far a denoiser would still move the geometry that it made (`prerelax.diffusion.confidence`)",
            "Å",
            compared=True,
            absent_before=True,
        ),
    ] = None
    denoised_energy_left_kcal_mol: Annotated[
        float | None,
        Column(
            "energy that a denoiser expects its geometry to lie above the minimum, before any gradient",
            "kcal/mol",
            compared=True,
            absent_before=True,
        ),
    ] = None
    n_iterations: Annotated[
        int | None, Column("iterations of the denoiser's sampler that made the geometry")
    ] = None
    first_step: Annotated[
        int | None, Column("the schedule's step at which the sampler began; MoreRed's samplers predict it")
    ] = None

    target: Annotated[str | None, Column("name of the target; None in a start", compared=True)] = None
    converged: Annotated[bool | None, Column("below the target's fmax", compared=True)] = None
    n_gradients: Annotated[int | None, Column("energy+forces evaluations at the target", compared=True)] = (
        None
    )
    n_steps: Annotated[int | None, Column("accepted moves of the optimizer", compared=True)] = None
    energy_ev: Annotated[float | None, Column("energy at the target", "eV", compared=True, decimals=8)] = None
    start_energy_ev: Annotated[
        float | None, Column("energy of the start at the target", "eV", compared=True, decimals=8)
    ] = None
    fmax_ev_ang: Annotated[
        float | None, Column("largest force on an atom", "eV/Å", compared=True, decimals=6)
    ] = None
    connectivity_unchanged: Annotated[
        bool | None, Column("the relaxed geometry has the molecule's bonds", compared=True)
    ] = None
    stereo_unchanged: Annotated[
        bool | None,
        Column(
            "the relaxed geometry is the isomer that is meant; None where bonds changed",
            compared=True,
            absent_before=True,
        ),
    ] = None
    rmsd_ang: Annotated[
        float | None,
        Column(
            "between the start geometry and the relaxed one, after optimal rotation and translation",
            "Å",
            compared=True,
        ),
    ] = None
    rmsd_symmetry_ang: Annotated[
        float | None, Column("the same with symmetry-equivalent atoms matched", "Å", compared=True)
    ] = None
    n_gradients_check: Annotated[
        int | None,
        Column(
            "gradients at the target that the check of the minimum took, not in `n_gradients`", compared=True
        ),
    ] = None
    n_imaginary: Annotated[
        int | None,
        Column(
            "imaginary frequencies at the relaxed geometry, above 0 at a saddle; None where not checked",
            compared=True,
            absent_before=True,
        ),
    ] = None
    lowest_frequency_cm: Annotated[
        float | None,
        Column("of the target, an imaginary one negative; None where it was not measured", "cm⁻¹"),
    ] = None
    zero_point_ev: Annotated[float | None, Column("zero-point vibrational energy", "eV")] = None
    enthalpy_298_ev: Annotated[
        float | None,
        Column("electronic energy included; ideal gas at 298.15 K and 1 atm, as the Gibbs energy", "eV"),
    ] = None
    gibbs_298_ev: Annotated[float | None, Column("Gibbs energy of the ideal gas", "eV")] = None
    symmetry_number: Annotated[
        int | None,
        Column("rotations that bring the geometry onto itself, in the Gibbs energy", absent_before=True),
    ] = None
    settings: Annotated[
        str | None,
        Column(
            "engine, level, optimizer, thresholds and versions behind the numbers, as JSON", compared=True
        ),
    ] = None
    start_settings: Annotated[
        str | None,
        Column(
            "settings behind the start from which the relaxation began", compared=True, absent_before=True
        ),
    ] = None
    energy_left_kcal_mol: Annotated[
        float | None,
        Column("energy still expected to fall to the minimum", "kcal/mol", compared=True, absent_before=True),
    ] = None
    meets: Annotated[
        str | None,
        Column(
            "Gaussian's criteria that the end meets: none, loose, default, tight",
            compared=True,
            absent_before=True,
        ),
    ] = None
    start_energy_left_kcal_mol: Annotated[
        float | None,
        Column("the same energy, expected of the start", "kcal/mol", compared=True, absent_before=True),
    ] = None
    start_meets: Annotated[
        str | None,
        Column("Gaussian's criteria that the start meets", compared=True, absent_before=True),
    ] = None
    start_positions: NDArray[np.float64] | None = None
    """[n_atoms, 3] Å, the geometry from which the relaxation began"""

    @property
    def proceeds(self) -> bool:
        return self.status in PROCEED

    @property
    def is_same_molecule(self) -> bool:
        """Whether no relaxation changed the molecule's bonds or its stereochemistry, as far as is known."""
        return self.connectivity_unchanged is not False and self.stereo_unchanged is not False

    def after_stage(self, stage: str, wall_s: float, **changes: Any) -> "Record":
        """This record after one more stage: its seconds added under `stage`, `changes` made.

        Added, since a target may have the name of the start that led to it.
        """
        stages_s = {**self.stages_s, stage: self.stages_s.get(stage, 0.0) + wall_s}
        return replace(self, wall_s=wall_s, stages_s=stages_s, **changes)

    def as_start(self) -> "Record":
        """The same for a stage that goes on from a target's end: what the target said of its end is gone.

        The gradients that led there are now those of a start.
        """
        if self.target is None and self.n_gradients is None:
            return self
        level = level_name(json.loads(self.settings or "{}"))
        before = self.gradients_of_levels
        spent = before.get(level, 0) + (self.n_gradients or 0) + (self.n_gradients_check or 0)
        return replace(self, gradients_of_levels={**before, level: spent} if spent else before, **NOT_RELAXED)

    def after_start(self, stage: str, wall_s: float, **changes: Any) -> "Record":
        """The same after a stage that makes a start; what was said of the geometry before is gone."""
        return self.as_start().after_stage(stage, wall_s, **{**NOT_DENOISED, **changes})

    def as_atoms(self) -> Atoms:
        """ASE's Atoms with all scalars in `info`; `start_positions`, where known, in `arrays`."""
        atoms = Atoms(numbers=self.numbers, positions=self.positions)
        if self.start_positions is not None:
            atoms.arrays["start_positions"] = np.asarray(self.start_positions, dtype=float)
        atoms.info = {name: value for name, value in self.scalars().items() if value is not None}
        return atoms

    def scalars(self) -> dict[str, Any]:
        """All fields but the per-atom ones."""
        return {name: getattr(self, name) for name in SCALARS}


def _columns() -> dict[str, tuple[Column, pa.DataType]]:
    """The row's scalars and their Arrow types, in the declared order."""
    found = {}
    for name, annotation in get_type_hints(Record, include_extras=True).items():
        marks = [mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Column)]
        if marks:
            found[name] = (marks[0], marks[0].kind or _arrow_type(get_args(annotation)[0]))
    return found


def _arrow_type(annotation: Any) -> pa.DataType:
    plain = [each for each in get_args(annotation) if each is not type(None)]
    if get_origin(annotation) is Literal:
        return pa.string()
    if plain and get_origin(annotation) is not dict:
        return _arrow_type(plain[0])
    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}[annotation]


NOT_DENOISED: dict[str, Any] = dict.fromkeys(
    ("residual_ang", "denoised_energy_left_kcal_mol", "n_iterations", "first_step")
)
"""Changes of a row whose geometry no denoiser made."""

_WITH_TYPES = _columns()
COLUMNS: dict[str, Column] = {name: column for name, (column, _) in _WITH_TYPES.items()}
"""The row's scalars by name."""
SCALARS = tuple(COLUMNS)
NOT_RELAXED: dict[str, Any] = dict.fromkeys(
    {*SCALARS[SCALARS.index("target") :], "start_positions"} - {"settings"}
)
"""Changes of a row that is of no target: the fields from `target` on, but the settings of its last stage."""
TABLE_SCHEMA = pa.schema(
    [*((name, kind) for name, (_, kind) in _WITH_TYPES.items()), ("n_atoms", pa.int32())]
)
"""Of the table beside a shard: the scalars, and how many atoms the frame has."""


def as_table(records: Iterable[Record]) -> pa.Table:
    """The records' scalars and `n_atoms` as an Arrow table; mappings as JSON."""
    rows = [{**_plain(record.scalars()), "n_atoms": len(record.numbers)} for record in records]
    return pa.Table.from_pylist(rows, schema=TABLE_SCHEMA)


def _plain(scalars: dict[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(each) if isinstance(each, dict) else each for name, each in scalars.items()}
