"""Small files of the forms in which QM9, QM7-X and GEOM are published, as the archives have them."""

import io
import lzma
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

SMALL = (
    *("C", "N", "O", "CC", "CN", "CO", "CF", "NN", "OO", "NO", "FC(F)F", "FCF", "CCC", "CCO", "CCN", "COC"),
    *("CNC", "OCO", "NCO", "NCN", "CCF", "OCF", "NCF", "COO", "CON", "CNO", "CNN", "FCCF", "OCCO", "NCCO"),
)
"""Saturated chains, so that every study has molecules."""


def geometries(smiles: str, n: int = 1) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Atomic numbers and MMFF94 minima [n_atoms, 3] Å of `n` embeddings."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=7)
    rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    return [(numbers, conformer.GetPositions()) for conformer in mol.GetConformers()]


def qm9_text(number: int, smiles: str) -> str:
    """One `dsgdb9nsd_*.xyz`, numbers as Mathematica writes them."""
    ((numbers, positions),) = geometries(smiles)
    atoms = [
        "\t".join(
            [chemical_symbols[z], *(f"{x:.10f}".replace("0.0000000000", "0.*^-6") for x in xyz), "-0.1"]
        )
        for z, xyz in zip(numbers, positions, strict=True)
    ]
    head = [str(len(numbers)), f"gdb {number}\t" + "\t".join(["1.0"] * 15)]
    return "\n".join([*head, *atoms, "100.0\t200.0", f"{smiles}\t{smiles}", "InChI=1S/x\tInChI=1S/x"]) + "\n"


def write_qm9(folder: Path, smiles: Sequence[str] = SMALL, inconsistent: Sequence[int] = (2,)) -> None:
    """`dsgdb9nsd.xyz.tar.bz2` and `uncharacterized.txt`."""
    with tarfile.open(folder / "dsgdb9nsd.xyz.tar.bz2", "w:bz2") as archive:
        for number, each in enumerate(smiles, start=1):
            content = qm9_text(number, each).encode()
            member = tarfile.TarInfo(f"dsgdb9nsd_{number:06d}.xyz")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    rows = [f"{n:7d}  {smiles[n - 1]}  {smiles[n - 1]}  {smiles[n - 1]}  0.1" for n in inconsistent]
    text = ["3054 molecules that failed", "===", "  Index  SMILES  SMILES  SMILES  x", *rows, "=== end"]
    (folder / "uncharacterized.txt").write_text("\n".join(text) + "\n")


def write_qm7x(path: Path, smiles: Sequence[str], displacements: int = 4, packed: bool = True) -> None:
    """One of QM7-X's files, `1000.xz` or unpacked: `Geom-m1-i1-c1-opt` and its displacements `d1`, `d2`, …"""
    import h5py

    rng = np.random.default_rng(3)
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for molecule, each in enumerate(smiles, start=1):
            ((numbers, positions),) = geometries(each)
            for k in range(displacements + 1):
                group = file.create_group(f"{molecule:04d}/Geom-m1-i1-c1-{f'd{k}' if k else 'opt'}")
                moved = positions + 0.03 * k * rng.normal(size=positions.shape)
                group["atNUM"], group["atXYZ"] = numbers, moved
                group["ePBE0+MBD"] = np.array([-40.0 * len(numbers) + 0.1 * k])
                group["totFOR"] = 0.2 * k * rng.normal(size=positions.shape)
    path.write_bytes(lzma.compress(content.getvalue()) if packed else content.getvalue())


def geom_molecule(smiles: str, n: int = 3) -> dict[str, object]:
    """A molecule of `drugs_crude.msgpack`; its conformers' energies do not rise with their numbers."""
    conformers = [
        {
            "geom_id": k,
            "set": 1,
            "degeneracy": 1,
            "totalenergy": -10.0 - 0.001 * ((2 * k) % n),
            "xyz": [[float(z), *map(float, xyz)] for z, xyz in zip(numbers, positions, strict=True)],
        }
        for k, (numbers, positions) in enumerate(geometries(smiles, n))
    ]
    return {"smiles": smiles, "charge": 0, "uniqueconfs": n, "conformers": conformers}


def write_geom(path: Path, smiles: Sequence[str], n: int = 3) -> None:
    """`drugs_crude.msgpack.tar.gz`, in which maps of molecules stand one after the other."""
    content = b"".join(_maps(smiles, n))
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("drugs_crude.msgpack")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def _maps(smiles: Sequence[str], n: int) -> Iterator[bytes]:
    import msgpack

    for first in range(0, len(smiles), 4):
        yield msgpack.packb({each: geom_molecule(each, n) for each in smiles[first : first + 4]})
