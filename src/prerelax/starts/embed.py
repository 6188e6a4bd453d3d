"""The start `rdkit`: a 3-D geometry for every molecule, from distance geometry (ETKDGv3) or as it was given.

Riniker & Landrum, J. Chem. Inf. Model. 2015, 55, 2562; ETKDGv3: Wang et al., ibid. 2020, 60, 2044.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from prerelax.datasets.graph_split import graph_key
from prerelax.engines.workers import Lost, Workers
from prerelax.errors import UserError
from prerelax.molecules.graph import bonded_matrix, mol_from_mapped_smiles
from prerelax.molecules.molecule import Molecule, read_molecules
from prerelax.records.record import Record
from prerelax.records.settings import settings_text
from prerelax.records.shard import read_shard, write_shard

START = "rdkit"

MAX_TRIALS = 200
"""Initial guesses for each way of embedding. Molecules that can be embedded need a few."""

LARGE = 150
"""Atoms of a molecule that is embedded in a process of its own."""

LIMIT_S = 240.0
"""Of that process."""

TIMEOUT_S = 60
"""Of each way of embedding: a guard against very large cages, far above what ordinary molecules take."""


def embed_shard(
    molecules: Path,
    out: Path,
    rows: slice | None,
    conformers: int,
    seed: int,
    every: int = 1,
    unlike: Sequence[Path] = (),
) -> None:
    """Write the start `rdkit`: rows × conformers, the conformers of a molecule in succession.

    Only every `every`-th row is taken. A molecule with the same graph as one in the shards `unlike` (the test
    set of a training on these molecules) is `skipped`.

    Conformer k is embedded with the random seed `seed` + k, so that a molecule's geometry depends neither on
    its neighbours in the file nor on the shard (seed 42, conformer 0: the papers' start). A molecule given
    with 3-D coordinates keeps them as conformer 0. Rows that cannot be used keep their status, without atoms;
    a conformer that RDKit finds no geometry for is `embed_failed`. Raises UserError for an unusable file or
    number.
    """
    if conformers < 1:
        raise UserError(f"at least one conformer is needed, not {conformers}")
    if not 0 <= seed <= 2**31 - 1 - conformers:
        raise UserError(f"the seed must lie between 0 and 2147483647 - conformers, not {seed}")
    tested = {
        _graph(record) for shard in unlike for record in read_shard(shard) if record.status != "input_error"
    }
    read = read_molecules(molecules, rows)[::every]
    records = [record for molecule in read for record in embedded(molecule, conformers, seed)]
    write_shard(out, [_set_aside(record, tested) if tested else record for record in records])


def _graph(record: Record) -> int:
    mol = mol_from_mapped_smiles(record.smiles)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    return graph_key(numbers, bonded_matrix(mol))


def _set_aside(record: Record, tested: set[int]) -> Record:
    if not record.proceeds or _graph(record) not in tested:
        return record
    return replace(record, status="skipped", message="its molecular graph is one of the test molecules'")


def embedded(molecule: Molecule, conformers: int = 1, seed: int = 42) -> Iterator[Record]:
    """The molecule's records, one per conformer; see `embed_shard`."""
    row = Record(
        id=molecule.id,
        smiles=molecule.smiles,
        charge=molecule.charge,
        multiplicity=molecule.multiplicity,
        start=START,
        status=molecule.status,
        message=molecule.message,
        settings=_settings(seed),
    )
    failure = ""
    for conformer in range(conformers):
        began = perf_counter()
        geometry, note = None, molecule.message
        if molecule.mol is not None and conformer == 0 and molecule.positions is not None:
            geometry, note = molecule.positions, _joined(note, "the geometry is the one given")
        elif molecule.mol is not None and not failure:
            geometry, failure = _embedded_in_time(molecule.mol, seed + conformer)
        changes = {"conformer": conformer, "message": note}
        if geometry is not None:
            changes |= {"numbers": molecule.numbers, "positions": geometry}
        elif molecule.mol is not None:
            changes |= {"status": "embed_failed", "message": _joined(note, failure)}
        yield row.after_stage(START, perf_counter() - began, **changes)


def _settings(seed: int) -> str:
    settings = {"verb": "embed", "method": "ETKDGv3", "seed": seed, "max_trials": MAX_TRIALS}
    return settings_text(settings, "rdkit")


def embed_again(inp: Path, out: Path, seed: int, start: str) -> None:
    """Write the rows of `inp` with new geometries as the start `start`, even rows that came with coordinates.

    Conformer k is embedded with the random seed `seed` + k. Rows that do not proceed are copied. Raises
    ShardError for a broken shard.
    """
    write_shard(out, [_embedded_again(record, seed, start) for record in read_shard(inp)])


def _embedded_again(record: Record, seed: int, start: str) -> Record:
    if not record.proceeds:
        return replace(record, start=start)
    began = perf_counter()
    mol = mol_from_mapped_smiles(record.smiles)
    geometry, message = _embedded_in_time(mol, seed + record.conformer)
    changes: dict[str, Any] = {"start": start, "message": message, "settings": _settings(seed)}
    changes |= {"status": "embed_failed"} if geometry is None else {"positions": geometry}
    return record.after_stage(start, perf_counter() - began, **changes)


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
