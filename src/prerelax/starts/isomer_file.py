"""A molecule file with one row for each isomer, where a campaign enumerates what its own file leaves open.

`python -m prerelax.starts.isomer_file IN OUT.csv`, a process of its own: the workflow's parse imports no
RDKit.
"""

import csv
import io
import subprocess
import sys
from pathlib import Path

from prerelax.errors import UserError
from prerelax.records.atomic_write import write_text_atomically


def make_isomer_file(molecules: Path, out: Path) -> None:
    """Write `out` unless it is newer than `molecules`. Raises UserError as `read_molecules` does."""
    if out.is_file() and molecules.is_file() and out.stat().st_mtime >= molecules.stat().st_mtime:
        return
    call = [sys.executable, "-m", __name__, str(molecules), str(out)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(
            done.stderr.strip().rpartition("\n")[2] or f"{molecules}: isomers were not enumerated"
        )


def write_isomers(molecules: Path, out: Path) -> None:
    """Write the isomers of every row as a CSV with the input's SMILES and other columns beside them.

    Rows that cannot be used stand as they were, and so are refused when they are read again. Raises UserError
    for a file with coordinates, which leave nothing open.
    """
    from prerelax.molecules.molecule import read_molecules
    from prerelax.molecules.stereo import isomers_of

    read = read_molecules(molecules)
    if any(molecule.positions is not None for molecule in read):
        raise UserError(
            f"{molecules}: its geometries say which isomers they are; `stereo: enumerate` is for SMILES"
        )
    others = list(dict.fromkeys(name for molecule in read for name in molecule.input_columns or {}))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "smiles", "charge", "multiplicity", "input_smiles", *others])
    for molecule in read:
        given = molecule.input_columns or {}
        more = [molecule.input_smiles or "", *(given.get(name, "") for name in others)]
        if molecule.mol is None:
            writer.writerow([molecule.id, molecule.smiles, "", "", *more])
            continue
        for isomer in isomers_of(molecule):
            writer.writerow([isomer.id, isomer.smiles, isomer.charge, isomer.multiplicity, *more])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(out, text.getvalue())


if __name__ == "__main__":
    try:
        write_isomers(Path(sys.argv[1]), Path(sys.argv[2]))
    except UserError as error:
        sys.exit(str(error))
