"""Minima in the files of other programs: SDF, XYZ, ASE's database, CSV and QCSchema."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr
from rdkit import Chem

from prerelax.engines.level import Level
from prerelax.exports.minima import Minimum


def write_sdf(minima: Sequence[Minimum], level: Level, out: Path) -> None:
    """V3000, with everything that is known of a minimum as data fields; the title is the molecule's name."""
    with Chem.SDWriter(str(out)) as writer:
        writer.SetForceV3000(True)
        for minimum in minima:
            placed = Chem.Mol(minimum.mol)
            placed.SetProp("_Name", minimum.name)
            for name, value in minimum.fields(str(level)).items():
                placed.SetProp(_one_line(name), _one_line(str(value)))
            writer.write(placed)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def write_xyz(minima: Sequence[Minimum], level: Level, out: Path) -> None:
    """Extended XYZ with plain words: id, charge, multiplicity, energies; the energy in eV as ASE has it."""
    frames = []
    for minimum in minima:
        atoms = with_energy(minimum)
        atoms.info = {
            "id": minimum.name,
            "charge": minimum.record.charge,
            "multiplicity": minimum.record.multiplicity,
            "smiles": minimum.record.smiles,
            "level": str(level),
        }
        if minimum.energy_hartree is not None:
            atoms.info["energy_hartree"] = round(minimum.energy_hartree, 10)
        frames.append(atoms)
    ase.io.write(out, frames, format="extxyz")


def with_energy(minimum: Minimum) -> Atoms:
    """ASE's Atoms with the energy in eV as the result of a calculator."""
    record = minimum.record
    atoms = Atoms(numbers=record.numbers, positions=record.positions)
    if record.energy_ev is not None:
        atoms.calc = SinglePointCalculator(atoms, energy=record.energy_ev)
    return atoms


def write_ase_db(minima: Sequence[Minimum], level: Level, out: Path) -> None:
    """ASE's SQLite database: one row for each minimum, everything that is known of it in its `data`.

    `name`, `total_charge`, `multiplicity` and `level` can be searched for.
    """
    from ase.db import connect

    out.unlink(missing_ok=True)
    with connect(out, type="db") as database:
        for minimum in minima:
            keys = {"total_charge": minimum.record.charge, "multiplicity": minimum.record.multiplicity}
            words = {"name": f"molecule {minimum.name}", "level": str(level)}
            database.write(with_energy(minimum), data=minimum.fields(str(level)), **keys, **words)


def write_csv(minima: Sequence[Minimum], level: Level, out: Path) -> None:
    """One line for each molecule and conformer, those that failed among them, with the user's columns."""
    rows = [minimum.fields(str(level)) for minimum in minima]
    names = list(dict.fromkeys(name for row in rows for name in row))
    first = [name for name in ("id", "conformer", "input_smiles", "smiles") if name in names]
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*first, *(name for name in names if name not in first)])
        writer.writeheader()
        writer.writerows(rows)


def write_qcschema(minima: Sequence[Minimum], level: Level, out: Path) -> None:
    """A list of QCSchema's AtomicResult in JSON: molecule in bohr, model, energy in Hartree.

    A geometry with other bonds, or of another isomer, comes without the bonds and SMILES it no longer has.
    """
    results = [_qcschema(each, level) for each in minima if each.energy_hartree is not None]
    out.write_text(json.dumps(results, indent=1), encoding="utf-8")


def _qcschema(minimum: Minimum, level: Level) -> dict[str, object]:
    import importlib.metadata

    record = minimum.record
    settings = json.loads(record.settings or "{}")
    identifiers = {"canonical_isomeric_explicit_hydrogen_mapped_smiles": record.smiles}
    bonds = [
        [bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), bond.GetBondTypeAsDouble()]
        for bond in minimum.mol.GetBonds()
    ]
    method = f"{level.method}-{level.dispersion}" if level.dispersion else level.method
    return {
        "schema_name": "qcschema_output",
        "schema_version": 1,
        "id": minimum.name,
        "molecule": {
            "schema_name": "qcschema_molecule",
            "schema_version": 2,
            "name": minimum.name,
            "symbols": [atom.GetSymbol() for atom in minimum.mol.GetAtoms()],
            "geometry": (np.asarray(record.positions) / Bohr).ravel().tolist(),
            "molecular_charge": record.charge,
            "molecular_multiplicity": record.multiplicity,
            "connectivity": None if minimum.has_other_bonds else bonds or None,
            "identifiers": {} if minimum.has_other_bonds or minimum.is_other_isomer else identifiers,
            "fix_com": True,
            "fix_orientation": True,
        },
        "driver": "energy",
        "model": {"method": method, "basis": level.basis},
        "keywords": {key: value for key, value in settings.items() if key in ("solvent", "solvent_model")},
        "properties": {"return_energy": minimum.energy_hartree, "calcinfo_natom": len(record.numbers)},
        "return_result": minimum.energy_hartree,
        "success": True,
        "provenance": {
            "creator": "prerelax",
            "version": importlib.metadata.version("prerelax"),
            "routine": str(level),
        },
        "extras": minimum.fields(str(level)),
    }


WRITERS: dict[str, tuple[str, Callable[[Sequence[Minimum], Level, Path], None]]] = {
    "sdf": (".sdf", write_sdf),
    "xyz": (".xyz", write_xyz),
    "ase-db": (".db", write_ase_db),
    "csv": (".csv", write_csv),
    "qcschema": (".json", write_qcschema),
}
"""By the word after --to: the ending of the file, and what writes it."""
