"""Interprets the rows of a file chemically: bonds, charge, multiplicity and atom order.

A bad row becomes a Molecule with status `input_error` and a message that names the row; only a file that is
useless as a whole raises. The user's atom order is kept; hydrogens that were implicit follow at the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from prerelax.molecules.graph import (
    bonded_matrix,
    mapped_smiles,
    mol_from_mapped_smiles,
    parsed_smiles,
)
from prerelax.molecules.input_files import Row, read_rows
from prerelax.molecules.perception import perceived_molecule
from prerelax.molecules.status import Status
from prerelax.molecules.topology import COVALENT_RADII_ANG
from prerelax.molecules.units import contradicted_bonds, in_another_unit

CONSTRAINTS = "constraints"
"""The column or data field of what stays as it is."""
SAME_SPOT_ANG = 0.4
"""Two atoms closer than this are an input error (the shortest bond there is, H2, has 0.74 Å)."""


@dataclass(frozen=True, eq=False)
class Molecule:
    """One input row."""

    id: str
    smiles: str = ""
    """atom-mapped, all hydrogens, map number = position in the frame (from 1); the raw text of a bad row"""
    mol: Chem.Mol | None = None
    """RDKit's, all hydrogens explicit, in the order of the frame, no conformers; None for a bad row"""
    positions: NDArray[np.float64] | None = None
    """[n_atoms, 3] Å, where the file has a 3-D structure"""
    charge: int = 0
    multiplicity: int = 1
    status: Status = "ok"
    message: str = ""
    input_smiles: str | None = None
    """as the file has it"""
    input_columns: Mapping[str, str] | None = None
    """the file's other columns or data fields"""
    constraints: str = ""
    """as the column or data field `constraints` has them"""

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Atomic numbers [n_atoms]."""
        atoms = [] if self.mol is None else self.mol.GetAtoms()
        return np.array([atom.GetAtomicNum() for atom in atoms], dtype=np.int64)


class _RowError(ValueError):
    """What is wrong with one row, as the end of a sentence."""


def read_molecules(path: Path, rows: slice | None = None) -> list[Molecule]:
    """The molecules of a file in order: all rows, or a slice counted from 0.

    It is a CSV, .smi, SDF or (extended) XYZ, an npz, or an input or output of Gaussian or ORCA. CSV needs the
    column `smiles` and may have `id,charge,multiplicity`. Ids are kept as text. A row with an
    id that an earlier row of the file has (whether or not that one is in the slice) is an `input_error` and
    gets ` (row N)` appended to its id, so that ids are unique. Rows without a name (.smi, SDF, XYZ) are
    called after the file and their number. Raises InputFileError for a file that is missing, empty, of
    unknown kind, without the needed columns or unreadable.
    """
    path = Path(path)
    start, stop = (rows.start or 0, rows.stop) if rows else (0, None)
    if start < 0 or (stop is not None and stop < 0) or (rows and rows.step not in (None, 1)):
        raise ValueError(f"rows {rows}: only slices that count from the first row, without a step")
    return [_molecule(row) for row in read_rows(path, start, stop)]


def _molecule(row: Row) -> Molecule:
    others = dict(row.others)
    smiles = others.pop("input_smiles", "") or (row.text if row.kind == "smiles" else row.smiles)
    held = (text for name, text in others.items() if name.lower() == CONSTRAINTS)
    given: dict[str, Any] = {"constraints": next(held, "")}
    given |= {"input_smiles": smiles or None, "input_columns": others or None}
    try:
        if not row.id:
            raise _RowError("the id is empty")
        if row.first_with_id != row.number:
            raise _RowError(f"row {row.first_with_id} has the same id already; give every row its own")
        return replace(_MOLECULE_FROM[row.kind](row), **given)
    except _RowError as error:
        cause = str(error)
    except Exception as error:  # RDKit raises many kinds; whichever it is must cost this row alone
        cause = f"RDKit cannot read it ({type(error).__name__}: {str(error).strip()})"
    is_unique = row.id and row.first_with_id == row.number
    return Molecule(
        id=row.id if is_unique else f"{row.id} (row {row.number})".strip(),
        smiles=row.text if row.kind == "smiles" else "",
        status="input_error",
        message=f"row {row.number}{f' ({row.id})' if row.id else ''}: {cause}",
        **given,
    )


# --- SMILES -------------------------------------------------------------------------------------------------


def _molecule_from_smiles(row: Row) -> Molecule:
    return _checked(row, _mol_from_smiles(row.text))


def _mol_from_smiles(smiles: str) -> Chem.Mol:
    """All hydrogens explicit; atoms in the order of a complete atom map, else as written."""
    if not smiles:
        raise _RowError("the SMILES is empty")
    mol, complaint = parsed_smiles(smiles, sanitize=True)
    if mol is None:
        unsanitized, _ = parsed_smiles(smiles, sanitize=False)
        raise _RowError(
            f"{smiles!r} is not valid SMILES ({complaint})"
            if unsanitized is None
            else _chemistry_problem(unsanitized)
        )
    mol = Chem.AddHs(mol)
    order = [atom.GetAtomMapNum() for atom in mol.GetAtoms()]
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    if sorted(order) == list(range(1, len(order) + 1)):
        mol = Chem.RenumberAtoms(mol, [int(i) for i in np.argsort(order)])
    return mol


def _chemistry_problem(mol: Chem.Mol) -> str:
    """What RDKit's sanitization objects to, with atoms counted from 1."""
    with rdBase.BlockLogs():
        problems = Chem.DetectChemistryProblems(mol)
    for problem in problems:
        if problem.GetType() == "AtomValenceException":
            atom = mol.GetAtomWithIdx(problem.GetAtomIdx())
            return (
                f"atom {atom.GetIdx() + 1} ({atom.GetSymbol()}) has more bonds than it can have with charge "
                f"{atom.GetFormalCharge():+d}; a formal charge or a bond is wrong"
            )
        if problem.GetType() == "KekulizeException":
            atoms = ", ".join(str(i + 1) for i in problem.GetAtomIndices())
            return f"no double bonds fit the aromatic atoms {atoms}; perhaps an aromatic N needs its H ([nH])"
        return str(problem.Message())
    return "RDKit finds no valid valences"


# --- SDF ----------------------------------------------------------------------------------------------------


def _molecule_from_sdf(row: Row) -> Molecule:
    if "M  END" not in row.text:
        raise _RowError("the record is cut off before 'M  END'")
    with rdBase.BlockLogs():
        mol = Chem.MolFromMolBlock(row.text, removeHs=False, sanitize=True)
        unsanitized = mol or Chem.MolFromMolBlock(row.text, removeHs=False, sanitize=False)
    if unsanitized is None:
        raise _RowError("the atom or bond block cannot be read; look for missing lines or columns")
    if mol is None:
        return _molecule_despite_its_bonds(row, unsanitized)
    if any(atom.HasQuery() for atom in mol.GetAtoms()) or any(bond.HasQuery() for bond in mol.GetBonds()):
        raise _RowError(
            "it has query atoms or bonds (such as A, Q, R or 'any'); a molecule needs definite ones"
        )
    if not (mol.GetNumConformers() == 1 and mol.GetConformer().Is3D()):
        mol.RemoveAllConformers()
        return _checked(row, Chem.AddHs(mol))
    _require_positions(mol.GetConformer().GetPositions())
    open_valences = [atom.GetIdx() + 1 for atom in mol.GetAtoms() if atom.GetTotalNumHs() > 0]
    if open_valences and any(atom.GetAtomicNum() == 1 for atom in mol.GetAtoms()):
        raise _RowError(
            f"the 3-D structure has hydrogens, but some are missing at atoms {_listed(open_valences)}; "
            "add them all (or the formal charge that the record lacks), or remove all"
        )
    mol = Chem.AddHs(mol, addCoords=True)
    for bond in mol.GetBonds():  # "either" marks of the bond block would win over the coordinates
        bond.SetBondDir(Chem.BondDir.NONE)
        bond.SetStereo(Chem.BondStereo.STEREONONE)
    Chem.AssignStereochemistryFrom3D(mol)
    positions = mol.GetConformer().GetPositions()
    mol.RemoveAllConformers()
    return _checked(row, mol, positions)


def _molecule_despite_its_bonds(row: Row, record: Chem.Mol) -> Molecule:
    """From coordinates and charge, where the bond table has impossible valences (converters write such)."""
    problem = _chemistry_problem(record)
    numbers = np.array([atom.GetAtomicNum() for atom in record.GetAtoms()], dtype=np.int64)
    charge = _integer(row.charge, "charge")
    charge = Chem.GetFormalCharge(record) if charge is None else charge
    is_closed_shell = (int(numbers.sum()) - charge) % 2 == 0
    if not (record.GetNumConformers() and record.GetConformer().Is3D() and numbers.all() and is_closed_shell):
        raise _RowError(problem)
    positions = record.GetConformer().GetPositions()
    _require_positions(positions)
    try:
        mol = perceived_molecule(numbers, positions, charge, multiplicity=None)
    except ValueError as error:
        raise _RowError(f"{problem}, and {error}; is a data field <charge> missing?") from error
    note = f"the record's bonds are not used, since {problem}; they were perceived from its geometry"
    return replace(_checked(row, mol, positions), message=note)


# --- XYZ ----------------------------------------------------------------------------------------------------


_NOTHING_STATED = (
    "without a charge it has an odd number of electrons; state charge=… in the comment line "
    "(charge=0 for a neutral radical)"
)


def _molecule_from_xyz(row: Row) -> Molecule:
    numbers, positions = _atoms_of_frame(row)
    _require_positions(positions, numbers)
    charge = _integer(row.charge, "charge")
    mol = _mol_of_frame_smiles(row.smiles, numbers, positions)
    if mol is None:
        if charge is None and not row.multiplicity and int(numbers.sum()) % 2:
            raise _RowError(_NOTHING_STATED)
        try:
            mol = perceived_molecule(
                numbers, positions, charge or 0, _integer(row.multiplicity, "multiplicity")
            )
        except ValueError as error:
            if problem := in_another_unit(numbers, positions, "its atoms are not bonded"):
                raise _RowError(problem) from error
            raise _RowError(
                f"{error}; state the right charge=… (and multiplicity=…) in the comment line, "
                "or give the molecule as SDF or SMILES"
            ) from error
    elif charge is None:
        charge = Chem.GetFormalCharge(mol)
    return _checked(replace(row, charge=str(charge or 0)), mol, positions)


def _atoms_of_frame(row: Row) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    lines = row.text.splitlines()
    if not row.n_atoms:
        raise _RowError(f"the frame must begin with its number of atoms, not with {lines[0][:40]!r}")
    n_atoms = int(row.n_atoms)
    species, x = _xyz_columns(row.columns)
    atoms = [_atom(line, species, x) for line in lines]
    if n_atoms == 0:
        raise _RowError("it has no atoms")
    if len(lines) < n_atoms:
        raise _RowError(f"{n_atoms} atoms are announced, but only {len(lines)} follow; is the file cut off?")
    if None in atoms[:n_atoms]:
        at = atoms.index(None)
        raise _RowError(f"atom line {at + 1} ({lines[at].strip()!r}) is not an element and x y z")
    if any(atoms[n_atoms:]):  # whereas lines of another kind may follow the atoms, as in QM9's own files
        raise _RowError(f"{n_atoms} atoms are announced, but more follow")
    complete = [atom for atom in atoms[:n_atoms] if atom is not None]
    return np.array([z for z, _ in complete]), np.array([xyz for _, xyz in complete], dtype=float)


def _atom(line: str, species: int, x: int) -> tuple[int, list[float]] | None:
    """Atomic number and coordinates; None for a line that is no atom."""
    cells = line.split()
    if len(cells) < max(species + 1, x + 3):
        return None
    try:
        return _atomic_number(cells[species]), [float(c.replace("*^", "e")) for c in cells[x : x + 3]]
    except ValueError:
        return None


def _xyz_columns(properties: str) -> tuple[int, int]:
    """Columns of the element and of x, from extended XYZ's `Properties`; species, x, y, z where not given."""
    parts = properties.split(":") if properties else ["species", "S", "1", "pos", "R", "3"]
    columns: dict[str, int] = {}
    at = 0
    for name, _, width in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        columns[name.lower()] = at
        at += int(width)
    species = columns.get("species", columns.get("z"))
    if species is None or "pos" not in columns:
        raise _RowError(f"the frame's Properties={properties} lack species or pos")
    return species, columns["pos"]


def _atomic_number(symbol: str) -> int:
    if symbol.isdigit():
        return int(symbol)
    if symbol.capitalize() not in atomic_numbers:
        raise ValueError(symbol)
    return int(atomic_numbers[symbol.capitalize()])


def _mol_of_frame_smiles(
    smiles: str, numbers: NDArray[np.integer], positions: NDArray[np.floating]
) -> Chem.Mol | None:
    """The graph that a frame carries as atom-mapped SMILES; None where it carries none or an unmapped one."""
    if ":" not in smiles:
        return None
    try:
        mol = mol_from_mapped_smiles(smiles)
    except ValueError as error:
        raise _RowError(f"its smiles is not usable: {error}") from error
    if [atom.GetAtomicNum() for atom in mol.GetAtoms()] != numbers.tolist():
        raise _RowError("its smiles has other atoms, or another order of them, than the coordinates")
    return mol


# --- checks that every row passes ---------------------------------------------------------------------------


def _checked(row: Row, mol: Chem.Mol, positions: NDArray[np.floating] | None = None) -> Molecule:
    """The row as a molecule of status ok; raises _RowError where it cannot be one."""
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.int64)
    if not len(numbers):
        raise _RowError("it has no atoms")
    if not numbers.all() or numbers.max() >= len(COVALENT_RADII_ANG):
        odd = [i + 1 for i, z in enumerate(numbers) if z == 0 or z >= len(COVALENT_RADII_ANG)]
        raise _RowError(f"atom {_listed(odd)} is not an element up to curium (a placeholder such as * or R?)")
    if (n_fragments := len(Chem.GetMolFrags(mol))) > 1:
        if positions is not None and (
            problem := in_another_unit(numbers, positions, "its atoms are not bonded")
        ):
            raise _RowError(problem)
        raise _RowError(
            f"it consists of {n_fragments} separate fragments; a row is one molecule, so give the fragment "
            "that is meant (a salt without its counter-ion, with its charge)"
        )
    if positions is not None:
        _require_positions(positions)
        if problem := contradicted_bonds(bonded_matrix(mol), numbers, positions):
            raise _RowError(problem)
    charge = _consistent_charge(row, mol)
    multiplicity = _consistent_multiplicity(row, mol, int(numbers.sum()) - charge)
    return Molecule(
        row.id,
        smiles=mapped_smiles(mol),
        mol=mol,
        positions=None if positions is None else np.array(positions, dtype=float),
        charge=charge,
        multiplicity=multiplicity,
    )


def _consistent_charge(row: Row, mol: Chem.Mol) -> int:
    of_graph = Chem.GetFormalCharge(mol)
    stated = _integer(row.charge, "charge")
    if stated is not None and stated != of_graph:
        source = "SMILES" if row.kind == "smiles" else "structure"
        raise _RowError(
            f"the charge {stated} contradicts the {source}, whose formal charges add up to {of_graph}"
        )
    return of_graph


def _consistent_multiplicity(row: Row, mol: Chem.Mol, n_electrons: int) -> int:
    """As stated; else high spin of the graph's radical electrons, or the lowest that the electrons allow."""
    stated = _integer(row.multiplicity, "multiplicity")
    if stated is None:
        unpaired = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
        return 1 + (unpaired if unpaired % 2 == n_electrons % 2 else n_electrons % 2)
    if stated < 1 or stated - 1 > n_electrons or (stated - 1) % 2 != n_electrons % 2:
        kind = "odd multiplicities, from 1 on" if n_electrons % 2 == 0 else "even multiplicities, from 2 on"
        raise _RowError(
            f"the multiplicity {stated} is impossible for {n_electrons} electrons (such molecules have "
            f"{kind}); correct it, or leave it out"
        )
    return stated


def _integer(text: str, name: str) -> int | None:
    """None for nothing; `1.0` counts as 1, since tables with gaps turn integers into floats."""
    if not text.strip():
        return None
    try:
        value = float(text)
        if not value.is_integer():
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise _RowError(f"the {name} {text!r} is not a whole number") from error
    return int(value)


def _require_positions(positions: NDArray[np.floating], numbers: NDArray[np.integer] | None = None) -> None:
    odd = np.flatnonzero(~np.isfinite(positions).all(axis=1)) + 1
    if len(odd):
        raise _RowError(f"the coordinates of atoms {_listed(odd.tolist())} are not numbers")
    distances = np.linalg.norm(positions[:, None] - positions[None, :], axis=-1)
    distances[np.tril_indices(len(positions))] = np.inf
    i, j = np.unravel_index(np.argmin(distances), distances.shape)
    if distances[i, j] < SAME_SPOT_ANG:
        problem = f"atoms {i + 1} and {j + 1} are {distances[i, j]:.2f} Å apart"
        otherwise = "" if numbers is None else in_another_unit(numbers, positions, problem)
        raise _RowError(otherwise or f"{problem}, almost on one spot")


def _listed(indices: list[int]) -> str:
    return ", ".join(map(str, indices[:5])) + (", …" if len(indices) > 5 else "")


_MOLECULE_FROM = {"smiles": _molecule_from_smiles, "sdf": _molecule_from_sdf, "xyz": _molecule_from_xyz}
