"""Relaxation with GFN2-xTB in place of a denoiser or force field: for which molecules, and how.

The denoisers know closed-shell molecules of one fragment, neutral ones unless the model says otherwise. For
anything else they return a geometry that looks plausible and is wrong, so they are not asked.
"""

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from prerelax.engines import EngineError, check_molecule
from prerelax.molecules.graph import bond_changes, bonded_matrix, mol_from_mapped_smiles
from prerelax.molecules.perception import perceived_molecule
from prerelax.molecules.status import PROCEED
from prerelax.molecules.stereo import Changes, changes
from prerelax.molecules.topology import COVALENT_RADII_ANG, bonds_from_geometry
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.settings import Relaxation, Resources
from prerelax.relaxation.shard import Named, relax_shard

FALLBACK = Relaxation(engine="tblite", method="GFN2-xTB")

MAX_ATOMS = 100
"""Denoisers trained on up to 29 atoms were measured on up to 60 (docs/results/denoisers.md)."""


@dataclass(frozen=True)
class Subject:
    """A molecule that is to be denoised, and what is known about it beforehand."""

    bonded: NDArray[np.bool_]
    """[n_atoms, n_atoms] its graph: of the SMILES, else perceived from the geometry"""
    contradiction: str = ""
    """why the row is unusable"""
    objection: str = ""
    """why no denoiser knows such a molecule"""
    mol: Chem.Mol | None = None
    """None where bond orders are not known"""

    def changed(
        self,
        numbers: NDArray[np.integer],
        positions: NDArray[np.floating],
        before: NDArray[np.floating] | None = None,
    ) -> str:
        """What is not the molecule in a geometry [n_atoms, 3] Å, in words; empty where it is it.

        Configurations of axes are compared with the geometry `before`.
        """
        if self.mol is None:
            return str(Changes(tuple(bond_changes(self.bonded, numbers, positions))))
        return str(changes(self.mol, positions, before))


def subject_of(record: Record, charges: Collection[int] = (0,)) -> Subject:
    """The record's graph, and whether a denoiser that knows these charges may be asked at all."""
    contradiction = _contradiction(record)
    if contradiction:
        return Subject(np.zeros((len(record.numbers),) * 2, dtype=bool), contradiction)
    if record.smiles:
        mol = mol_from_mapped_smiles(record.smiles)
        return Subject(bonded_matrix(mol), "", _objection(mol, record, charges), mol)
    try:
        mol = perceived_molecule(record.numbers, record.positions, record.charge, record.multiplicity)
    except ValueError as error:
        return Subject(bonds_from_geometry(record.numbers, record.positions), "", str(error))
    return Subject(bonded_matrix(mol), "", _objection(mol, record, charges), mol)


def _contradiction(record: Record) -> str:
    """Why the row is unusable: its SMILES is another molecule's, or no program could compute its geometry."""
    if record.smiles:
        try:
            mol = mol_from_mapped_smiles(record.smiles)
        except ValueError as error:
            return str(error)
        if [atom.GetAtomicNum() for atom in mol.GetAtoms()] != record.numbers.tolist():
            return _other_atoms(mol, record)
    try:
        check_molecule(record.numbers, record.positions, record.charge, record.multiplicity)
    except EngineError as error:
        return error.message
    heaviest = int(record.numbers.max())
    return f"no covalent radius of element {heaviest} is known" if heaviest >= len(COVALENT_RADII_ANG) else ""


def _other_atoms(mol: Chem.Mol, record: Record) -> str:
    formulas = [sorted(atom.GetSymbol() for atom in mol.GetAtoms())]
    formulas.append(sorted(Chem.GetPeriodicTable().GetElementSymbol(int(z)) for z in record.numbers))
    counts = [" ".join(f"{s}{symbols.count(s)}" for s in dict.fromkeys(symbols)) for symbols in formulas]
    where = (
        "in another order"
        if counts[0] == counts[1]
        else f"{counts[0]} in the SMILES, {counts[1]} in the frame"
    )
    return f"SMILES and geometry are of different atoms ({where}); mend the row"


def _objection(mol: Chem.Mol, record: Record, charges: Collection[int]) -> str:
    n_fragments = len(Chem.GetMolFrags(mol))
    if n_fragments > 1:
        return f"{n_fragments} separate fragments; denoisers know single molecules"
    if record.charge not in charges:
        known = " ".join(f"{charge:+d}" for charge in sorted(charges) if charge)
        kinds = f"neutral molecules and charges {known}" if known else "neutral molecules"
        return f"charge {record.charge:+d}; this denoiser knows {kinds}"
    if record.multiplicity != 1 or any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
        return f"an open shell (multiplicity {record.multiplicity}); denoisers know closed shells"
    if len(record.numbers) > MAX_ATOMS:
        return f"{len(record.numbers)} atoms; denoisers are asked about {MAX_ATOMS} at most"
    return ""


def fall_back(
    records: Sequence[Record],
    subjects: Sequence[Subject],
    reasons: Sequence[str],
    start: str,
    workers: int,
    folder: Path,
) -> list[Record]:
    """Relax the records with GFN2-xTB, in processes of their own; returns them as rows of the start `start`.

    `folder` is created for this and removed at the end; the journal that a killed job left in it is used.
    The rows get the status `fallback`, and the reason in `fallback` and `message`. If GFN2-xTB fails as well,
    the given geometry is kept: as `fallback` if it has the molecule's bonds, else with the status of the
    failure.
    """
    if not records:
        return []
    given = [replace(record, status="ok", message="") for record in records]
    folder.mkdir(parents=True, exist_ok=True)
    inp, out = folder / "in.extxyz", folder / "out.extxyz"
    write_shard(inp, given)
    relax_shard(inp, out, FALLBACK, named=Named(start=start), resources=Resources(workers=workers))
    relaxed = read_shard(out)
    shutil.rmtree(folder, ignore_errors=True)
    return [_fallback_row(*each) for each in zip(records, relaxed, subjects, reasons, strict=True)]


def _fallback_row(given: Record, relaxed: Record, subject: Subject, reason: str) -> Record:
    wall_s = given.wall_s + relaxed.wall_s
    relaxed = replace(
        relaxed,
        wall_s=wall_s,
        fallback=reason,
        residual_ang=given.residual_ang,
        n_iterations=given.n_iterations,
        first_step=given.first_step,
    )
    changed = subject.changed(relaxed.numbers, relaxed.positions, given.positions)
    if relaxed.status in PROCEED and not changed:
        limit = f", {relaxed.message}" if relaxed.message else ""
        return replace(relaxed, status="fallback", message=f"{reason}; GFN2-xTB instead{limit}")
    status = "connectivity_changed" if relaxed.status in PROCEED else relaxed.status
    message = f"{reason}; GFN2-xTB failed as well ({relaxed.message or changed}); the geometry before is kept"
    if status != "input_error" and not subject.changed(given.numbers, given.positions):
        status = "fallback"
    return replace(relaxed, positions=given.positions, status=status, message=message)
