"""The start `rdkit`: a 3-D geometry for every molecule, from distance geometry (ETKDGv3) or as it was given.

Riniker & Landrum, J. Chem. Inf. Model. 2015, 55, 2562; ETKDGv3: Wang et al., ibid. 2020, 60, 2044.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from prerelax.datasets.graph_split import graph_key
from prerelax.engines.workers import Lost, Workers
from prerelax.errors import UserError
from prerelax.molecules.constraints import Constraints
from prerelax.molecules.graph import bonded_matrix, mapped_smiles, mol_from_mapped_smiles
from prerelax.molecules.molecule import Molecule, read_molecules
from prerelax.molecules.stereo import (
    OpenStereo,
    can_be,
    enumerated,
    isomers_of,
    may_be_impossible,
    named,
    open_stereo,
    stereo_changes,
    with_stereo_of,
)
from prerelax.records.record import Record
from prerelax.records.settings import settings_text
from prerelax.records.shard import read_shard, write_shard
from prerelax.starts.options import StereoChoice

START = "rdkit"

MAX_TRIALS = 200
"""Initial guesses for each way of embedding. Molecules that can be embedded need a few."""

LARGE = 150
"""Atoms of a molecule that is embedded in a process of its own."""

LIMIT_S = 240.0
"""Of that process."""

TIMEOUT_S = 60
"""Of each way of embedding: a guard against very large cages, far above what ordinary molecules take."""

ISOMER_TRIALS = 12
"""Seeds tried for the isomer that is meant. RDKit keeps centres and double bonds; an axis is right in every
second trial."""
_SEED_STRIDE = 1_000_003
UNHELD = "a new geometry holds no constraints; take the row's constraints away, or another start"


def embed_shard(
    molecules: Path,
    out: Path,
    rows: slice | None,
    conformers: int,
    seed: int,
    unlike: Sequence[Path] = (),
    stereo: StereoChoice = "one",
    constraints: str = "",
) -> list[Record]:
    """Write the start `rdkit`: rows × conformers, the conformers of a molecule in succession; returns them.

    `rows` may have a step: every so many-th row is taken. A molecule with the same graph as one in the shards
    `unlike` (the test set of a training on these molecules) is `skipped`.

    Conformer k is embedded with the random seed `seed` + k, so that a molecule's geometry depends neither on
    its neighbours in the file nor on the shard (seed 42, conformer 0: the papers' start). The conformers of
    a molecule are one isomer: where the input leaves a configuration open, that of conformer 0, which the
    column `isomer` names (`stereo` one); or each isomer is a molecule of its own (enumerate); or the row is
    an `input_error` (refuse). One given with 3-D coordinates keeps them as conformer 0. `constraints` hold in
    every row, beside its own. Rows that cannot be used keep their status, without atoms; a conformer that
    RDKit finds no geometry for is `embed_failed`. Raises UserError for an unusable file or number.
    """
    if conformers < 1:
        raise UserError(f"at least one conformer is needed, not {conformers}")
    if not 0 <= seed <= 2**31 - 1 - conformers:
        raise UserError(f"the seed must lie between 0 and 2147483647 - conformers, not {seed}")
    tested = {
        _graph(record) for shard in unlike for record in read_shard(shard) if record.status != "input_error"
    }
    successive = slice(rows.start, rows.stop) if rows else None
    read = read_molecules(molecules, successive)[:: (rows.step if rows else None) or 1]
    if stereo == "enumerate":
        read = [isomer for molecule in read for isomer in isomers_of(molecule)]
    records = [
        record for molecule in read for record in embedded(molecule, conformers, seed, stereo, constraints)
    ]
    rows_out = [_set_aside(record, tested) if tested else record for record in records]
    write_shard(out, rows_out)
    return rows_out


def _graph(record: Record) -> int:
    mol = mol_from_mapped_smiles(record.smiles)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    return graph_key(numbers, bonded_matrix(mol))


def _set_aside(record: Record, tested: set[int]) -> Record:
    if not record.proceeds or _graph(record) not in tested:
        return record
    return replace(record, status="skipped", message="its molecular graph is one of the test molecules'")


def embedded(
    molecule: Molecule,
    conformers: int = 1,
    seed: int = 42,
    stereo: StereoChoice = "one",
    constraints: str = "",
) -> Iterator[Record]:
    """The molecule's records, one per conformer; see `embed_shard`."""
    row = Record(
        id=molecule.id,
        smiles=molecule.smiles,
        charge=molecule.charge,
        multiplicity=molecule.multiplicity,
        input_smiles=molecule.input_smiles,
        input_columns=None if molecule.input_columns is None else dict(molecule.input_columns),
        start=START,
        status=molecule.status,
        message=molecule.message,
        settings=_settings(seed),
    )
    mol, first, failure = molecule.mol, molecule.positions, ""
    held = Constraints()
    try:
        held = _constraints(molecule, constraints)
        row = replace(row, constraints=str(held) or None)
    except ValueError as error:
        row, mol = replace(row, status="input_error", message=str(error)), None
    unspecified = OpenStereo() if mol is None or first is not None else open_stereo(mol)
    if mol is not None and unspecified and stereo == "refuse":
        row = replace(row, status="input_error", message=_OPEN.format(named(mol, unspecified)))
        mol = None
    for conformer in range(conformers):
        began = perf_counter()
        geometry, note = None, row.message
        if mol is not None and conformer == 0 and molecule.positions is not None:
            geometry, note = molecule.positions, _joined(note, "the geometry is the one given")
        elif mol is not None and row.constraints and molecule.positions is not None:
            failure = "the constraints hold the geometry that was given; another conformer is without it"
        elif mol is not None and not failure:
            geometry, failure = _isomer_embedded(mol, seed + conformer, first)
            if geometry is not None and first is None:
                geometry = first = _of_an_isomer_that_can_be(mol, geometry, unspecified, seed)
                mol, isomer = with_stereo_of(mol, geometry, unspecified)
                note = _joined(note, isomer and f"{_TAKEN}{isomer}")
                row = replace(row, smiles=mapped_smiles(mol), isomer=isomer or None, message=note)
        changes = {"conformer": conformer, "message": note}
        if geometry is not None:
            changes |= {"numbers": molecule.numbers, "positions": geometry}
            if without := held.without_value(geometry):
                changes |= {"status": "input_error", "message": _joined(note, without)}
        elif mol is not None:
            changes |= {"status": "embed_failed", "message": _joined(note, failure)}
        yield row.after_stage(START, perf_counter() - began, **changes)


def _constraints(molecule: Molecule, more: str) -> Constraints:
    """The molecule's own and the campaign's. Raises ValueError."""
    if molecule.mol is None:
        return Constraints()
    return Constraints.read(f"{molecule.constraints};{more}", molecule.mol)


def _of_an_isomer_that_can_be(
    mol: Chem.Mol, geometry: NDArray[np.float64], unspecified: OpenStereo, seed: int
) -> NDArray[np.float64]:
    """The geometry, or another isomer's where it is one that cannot be: embeddings of fused rings may be."""
    if not may_be_impossible(mol, unspecified) or can_be(with_stereo_of(mol, geometry, unspecified)[0]):
        return geometry
    try:
        _, isomer = enumerated(mol)[0]
    except ValueError:
        return geometry
    other, _ = _isomer_embedded(isomer, seed, None)
    return geometry if other is None else other


def _settings(seed: int) -> str:
    settings = {"verb": "embed", "method": "ETKDGv3", "seed": seed, "max_trials": MAX_TRIALS}
    return settings_text(settings, "rdkit")


_OPEN = (
    "the configuration of {} is not given (stereo: refuse); mark it in the SMILES with @ or @@, / or \\, "
    "or take `stereo: one` or `enumerate`"
)
_TAKEN = "the input leaves a configuration open; taken: "


def embed_again(inp: Path, out: Path, seed: int, start: str) -> list[Record]:
    """Write the rows of `inp` with new geometries as the start `start`, even rows that came with coordinates.

    Returns the rows. Conformer k is embedded with the random seed `seed` + k. Rows that do not proceed are
    copied. Raises ShardError for a broken shard.
    """
    rows = [_embedded_again(record, seed, start) for record in read_shard(inp)]
    write_shard(out, rows)
    return rows


def _embedded_again(record: Record, seed: int, start: str) -> Record:
    if not record.proceeds:
        return replace(record, start=start)
    if record.constraints:
        return replace(record, start=start, status="input_error", message=UNHELD)
    began = perf_counter()
    mol = mol_from_mapped_smiles(record.smiles)
    given = record.positions if len(record.positions) else None
    geometry, message = _isomer_embedded(mol, seed + record.conformer, given)
    changes: dict[str, object] = {"start": start, "message": message, "settings": _settings(seed)}
    changes |= {"status": "embed_failed"} if geometry is None else {"positions": geometry}
    return record.after_start(start, perf_counter() - began, **changes)


def _isomer_embedded(
    mol: Chem.Mol, seed: int, like: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64] | None, str]:
    """As `_embedded_in_time`, of the isomer that `mol` says; axes as in the geometry `like`, if there is one.

    The first geometry is that of `seed` itself; other seeds follow only where it is another isomer.
    """
    wrong: list[str] = []
    began = perf_counter()
    for trial in range(ISOMER_TRIALS):
        if perf_counter() - began > LIMIT_S / 2:
            break
        geometry, failure = _embedded_in_time(mol, (seed + trial * _SEED_STRIDE) % 2**31)
        if geometry is None:
            return None, failure
        wrong = stereo_changes(mol, geometry) or (
            stereo_changes(mol, geometry, like) if like is not None else []
        )
        if not wrong:
            return geometry, ""
    return None, f"RDKit's geometries are of another isomer: {', '.join(wrong)}; give it as SDF or XYZ"


def _embedded_in_time(mol: Chem.Mol, seed: int) -> tuple[NDArray[np.float64] | None, str]:
    """Positions [n_atoms, 3] in Å, or why there are none.

    RDKit looks at its own time limit between some steps only, and a large molecule can stay in one of them
    for hours: it is embedded in a process of its own, which ends after LIMIT_S.
    """
    if mol.GetNumAtoms() <= LARGE:
        geometry = embedded_positions(mol, seed)
        return geometry, "" if geometry is not None else why_not(mol, seed)
    task = {"mol": base64.b64encode(mol.ToBinary(Chem.PropertyPickleOptions.AllProps)).decode(), "seed": seed}
    with Workers("prerelax.starts.embedding_worker", {}, timeout_s=LIMIT_S) as workers:
        ((_, answer),) = workers.run([task])
    if isinstance(answer, Lost):
        return None, (
            f"RDKit: {answer.message} for {mol.GetNumAtoms()} atoms; give the molecule with its coordinates "
            "as SDF or XYZ"
        )
    positions = answer["positions"]
    return None if positions is None else np.array(positions), answer["why"]


def embedded_positions(mol: Chem.Mol, seed: int) -> NDArray[np.float64] | None:
    """Positions [n_atoms, 3] in Å from ETKDGv3, from random coordinates where that fails; else None."""
    for random_coordinates in (False, True):
        parameters = rdDistGeom.ETKDGv3()
        options = {
            "randomSeed": seed,
            "useRandomCoords": random_coordinates,
            "maxIterations": MAX_TRIALS,
            "timeout": TIMEOUT_S,
        }
        for name, value in options.items():
            setattr(parameters, name, value)
        trial = Chem.Mol(mol)
        with rdBase.BlockLogs():
            found = rdDistGeom.EmbedMolecule(trial, parameters) >= 0
        if found:
            positions: NDArray[np.float64] = trial.GetConformer().GetPositions()
            return positions
    return None


def why_not(mol: Chem.Mol, seed: int) -> str:
    """Tells whether the stereochemistry cannot be embedded, or the bonds themselves."""
    if any(element.specified == Chem.StereoSpecified.Specified for element in Chem.FindPotentialStereo(mol)):
        without_stereo = Chem.Mol(mol)
        Chem.RemoveStereochemistry(without_stereo)
        if embedded_positions(without_stereo, seed) is not None:
            return (
                "RDKit finds no 3-D geometry with this stereochemistry, but one without it; "
                "check the marks @, @@, / and \\"
            )
    return (
        f"RDKit finds no 3-D geometry (2 × {MAX_TRIALS} trials); check the rings and multiple bonds, "
        "or give the molecule with its coordinates as SDF or XYZ"
    )


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
