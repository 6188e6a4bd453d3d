"""The starts `mmff94`, `mmff94-200` and `uff`: force-field minima by RDKit, or by Open Babel.

MMFF94: Halgren, J. Comput. Chem. 1996, 17, 490; in RDKit: Tosco et al., J. Cheminf. 2014, 6, 37.
UFF: Rappé et al., J. Am. Chem. Soc. 1992, 114, 10024.
"""

import json
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import get_args

from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

from prerelax.errors import UserError
from prerelax.molecules.constraints import Constraints
from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.molecules.status import PROCEED, Status
from prerelax.molecules.stereo import changes
from prerelax.molecules.topology import COVALENT_RADII_ANG
from prerelax.records.record import NOT_DENOISED, Record
from prerelax.records.settings import settings_text
from prerelax.records.shard import read_shard, write_shard
from prerelax.starts.fallback import fall_back, subject_of
from prerelax.starts.open_babel import minimised_by_open_babel
from prerelax.starts.options import Fallback, ForceField

ITERATIONS_TO_CONVERGENCE = 50_000
"""Where no number is asked for. Drug-like molecules take up to a few thousand iterations."""

# Elements with MMFF94 atom types, metals as free ions only (Halgren 1996, part I, table III).
_MMFF94_ELEMENTS = frozenset(
    ["H", "Li", "C", "N", "O", "F", "Na", "Mg", "Si", "P", "S", "Cl", "K", "Ca", "Fe", "Cu", "Zn", "Br", "I"]
)


def forcefield_shard(
    inp: Path,
    out: Path,
    method: ForceField,
    max_iterations: int | None,
    start: str,
    fallback: Fallback = "gfn2",
) -> list[Record]:
    """Minimise the rows of `inp` that proceed and write all rows as the start `start`; the others are copied.
    Returns the rows.

    `max_iterations` bounds RDKit's minimizer (the papers: 200, its default); None minimises to convergence. A
    row whose minimizer stopped at the bound is `not_converged` and kept. A molecule that the force field has
    no parameters for, or changes, is minimised with UFF, else relaxed with GFN2-xTB, and has the status
    `fallback`. With `fallback` none it keeps its geometry as `forcefield_unavailable`, or is
    `connectivity_changed`. Raises UserError for an unknown method or a broken shard.
    """
    if method not in get_args(ForceField):
        raise UserError(f"the force field {method!r} is not known; use {', '.join(get_args(ForceField))}")
    records = read_shard(inp)
    rows = [minimised(record, method, max_iterations, start) for record in records]
    if fallback != "none":
        failed = [
            place for place, row in enumerate(rows) if row.status in _FALLS_BACK and records[place].proceeds
        ]
        scratch = out.with_name(f".{out.stem}-fallback")
        instead = _instead([records[p] for p in failed], [rows[p] for p in failed], method, scratch)
        for place, row in zip(failed, instead, strict=True):
            rows[place] = row
    write_shard(out, rows)
    return rows


_FALLS_BACK: frozenset[Status] = frozenset(
    {"forcefield_unavailable", "connectivity_changed", "unknown_error"}
)


def _instead(given: list[Record], failed: list[Record], method: ForceField, scratch: Path) -> list[Record]:
    """The rows that a force field failed for, by UFF, and where that fails as well by GFN2-xTB."""
    rows = list(failed)
    if method != "uff":
        for place, record in enumerate(given):
            row = minimised(record, "uff", None, failed[place].start)
            if row.proceeds:
                reason = failed[place].message
                message = "; ".join(filter(None, (reason, "UFF instead", row.message)))
                said = json.dumps(json.loads(row.settings or "{}") | {"instead_of": method}, sort_keys=True)
                rows[place] = replace(row, status="fallback", fallback=reason, message=message, settings=said)
    left = [place for place, row in enumerate(rows) if not row.proceeds]
    subjects = [subject_of(given[place]) for place in left]
    reasons = [failed[place].message for place in left]
    if left:
        unmoved = [replace(given[place], **NOT_DENOISED) for place in left]
        relaxed = fall_back(unmoved, subjects, reasons, failed[0].start, 1, scratch)
        for place, row in zip(left, relaxed, strict=True):
            rows[place] = row
    return rows


def minimised(record: Record, method: ForceField, max_iterations: int | None, start: str) -> Record:
    """The record at its force-field minimum; see `forcefield_shard`."""
    if not record.proceeds:
        return replace(record, start=start)
    began = perf_counter()
    positions = record.positions
    try:
        mol = mol_from_mapped_smiles(record.smiles, positions)
        held = Constraints.read(record.constraints or "", n_atoms=len(record.numbers))
        if method == "mmff94-openbabel" and held:
            status, message = "input_error", "Open Babel's force field holds no constraints here; use mmff94"
        elif method == "mmff94-openbabel":
            status, message, positions = minimised_by_open_babel(record.numbers, positions, max_iterations)
        else:
            with rdBase.BlockLogs():
                status, message = _minimise(mol, method, max_iterations or ITERATIONS_TO_CONVERGENCE, held)
            if method == "mmff94" and status in PROCEED and (guessed := _guessed_bond(mol)):
                status, message = "forcefield_unavailable", guessed
            if status != "forcefield_unavailable":
                positions = held.imposed(mol.GetConformer().GetPositions(), positions)
        if status in PROCEED and (changed := changes(mol, positions, record.positions)):
            status, message = "connectivity_changed", _CHANGED.format(method=method, changed=changed)
    except Exception as error:  # RDKit raises many kinds; whichever it is must cost this row alone
        status, message = "unknown_error", f"{method} failed: {type(error).__name__}: {error}"
    settings = {"verb": "forcefield", "method": method, "max_iterations": max_iterations}
    fields = {"positions": positions, "status": status, "message": message, "start": start}
    fields["settings"] = settings_text(settings, "rdkit")
    return record.after_start(start, perf_counter() - began, **fields)


_CHANGED = "the {method} minimum is another molecule ({changed}); use another conformer or force field"


def _minimise(
    mol: Chem.Mol, method: ForceField, max_iterations: int, held: Constraints
) -> tuple[Status, str]:
    """Move the molecule's conformer to its minimum; what RDKit's return code means."""
    if mol.GetNumAtoms() == 1:
        return "ok", ""
    if held:
        code = _minimised_with(mol, method, max_iterations, held)
    elif method == "mmff94":
        code = rdForceFieldHelpers.MMFFOptimizeMolecule(mol, mmffVariant="MMFF94", maxIters=max_iterations)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        code = rdForceFieldHelpers.UFFOptimizeMolecule(mol, maxIters=max_iterations)
    else:
        code = -1
    if code == -1:
        return "forcefield_unavailable", _why_unavailable(mol, method)
    if code == 1:
        return "not_converged", f"{method} is not converged after {max_iterations} iterations"
    if method == "mmff94" and any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
        return "ok", "MMFF94 has no types for radicals and treats them as closed shells"
    return "ok", ""


def _minimised_with(mol: Chem.Mol, method: ForceField, max_iterations: int, held: Constraints) -> int:
    """RDKit's return code of a minimisation with stiff springs for the constraints; -1 without parameters."""
    if method == "mmff94":
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
        field = properties and rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties)
        kind = "MMFF"
    else:
        has_all = rdForceFieldHelpers.UFFHasAllMoleculeParams(mol)
        field = has_all and rdForceFieldHelpers.UFFGetMoleculeForceField(mol)
        kind = "UFF"
    if not field:
        return -1
    field.Initialize()
    for atom in held.atoms:
        field.AddFixedPoint(atom)
    values = held.values(mol.GetConformer().GetPositions()).tolist()
    for value, atoms in zip(values, held.coordinates, strict=True):
        spring, stiffness = _SPRINGS[len(atoms)]
        getattr(field, f"{kind}Add{spring}Constraint")(*atoms, False, value, value, stiffness)
    return int(field.Minimize(maxIts=max_iterations))


_SPRINGS = {2: ("Distance", 1e4), 3: ("Angle", 10.0), 4: ("Torsion", 10.0)}
"""RDKit's names by the number of atoms, and kcal/mol per Å² or square degree."""


def _guessed_bond(mol: Chem.Mol) -> str:
    """The double or triple bond that RDKit's MMFF94 makes too long, in words; empty where there is none.

    Where the force field has no parameters of a bond RDKit guesses them without its order: N2 gets 1.46 Å.
    """
    conformer = mol.GetConformer()
    for bond in mol.GetBonds():
        order, ends = bond.GetBondType(), (bond.GetBeginAtom(), bond.GetEndAtom())
        if order not in _SHORTENED:
            continue
        length = (
            conformer.GetAtomPosition(ends[0].GetIdx()) - conformer.GetAtomPosition(ends[1].GetIdx())
        ).Length()
        if length > _TOO_LONG * _SHORTENED[order] * sum(COVALENT_RADII_ANG[a.GetAtomicNum()] for a in ends):
            names = (f"{atom.GetSymbol()}{atom.GetIdx() + 1}" for atom in ends)
            bond_words = _SIGN[order].join(names)
            return f"MMFF94 has no parameters for the bond {bond_words}; RDKit guesses {length:.2f} Å"
    return ""


_SHORTENED = {Chem.BondType.DOUBLE: 0.87, Chem.BondType.TRIPLE: 0.78}
"""of a single bond's length (Pyykkö and Atsumi, Chem. Eur. J. 2009, 15, 12770), by order"""
_SIGN = {Chem.BondType.DOUBLE: "=", Chem.BondType.TRIPLE: "#"}
_TOO_LONG = 1.11
"""Bonds that MMFF94 has parameters for are up to 1.07 times as long, guessed ones of SO2 1.12 times."""


def _why_unavailable(mol: Chem.Mol, method: ForceField) -> str:
    if method == "uff":
        return "UFF has no parameters for one of its atoms"
    foreign = [a for a in mol.GetAtoms() if a.GetSymbol() not in _MMFF94_ELEMENTS]
    return (
        f"MMFF94 has no parameters for {foreign[0].GetSymbol()} (atom {foreign[0].GetIdx() + 1})"
        if foreign
        else "MMFF94 has no atom type for one of its bonding patterns"
    )
