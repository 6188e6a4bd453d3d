"""Molecules that once went wrong, from the file to GFN2-xTB minima: what the cases' README says is right."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from prerelax.molecules.graph import mol_from_mapped_smiles
from prerelax.molecules.molecule import read_molecules
from prerelax.molecules.stereo import axes_of
from prerelax.records.record import Record
from prerelax.records.shard import read_shard
from prerelax.relaxation.settings import Only, Relaxation
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard

GFN2 = Relaxation(engine="tblite", method="GFN2-xTB")


def chain(
    molecules: Path,
    folder: Path,
    conformers: int = 1,
    denoise: bool = False,
    relaxation: Relaxation = GFN2,
) -> list[list[Record]]:
    """The rows after the embedding, the force field, the denoiser if wanted, and the relaxation."""
    shards = [folder / f"{number}.extxyz" for number in range(4)]
    embed_shard(molecules, shards[0], None, conformers, 42)
    forcefield_shard(shards[0], shards[1], "mmff94", None, "mmff94")
    if denoise:  # torch never shares a process with an engine
        call = ["diffuse", str(shards[1]), str(shards[2]), "--model", "auto"]
        subprocess.run([sys.executable, "-m", "prerelax", *call], check=True, capture_output=True)
    relax_shard(shards[2] if denoise else shards[1], shards[3], relaxation, named=Named(target="gfn2"))
    return [read_shard(shard) for shard in shards if shard.is_file()]


def isomer(row: Record) -> str:
    """As RDKit perceives it from the geometry; axes by their sign."""
    mol = mol_from_mapped_smiles(row.smiles, row.positions)
    Chem.AssignStereochemistryFrom3D(mol)
    return (
        f"{Chem.MolToSmiles(Chem.RemoveHs(mol))} {[a.is_right_handed(row.positions) for a in axes_of(mol)]}"
    )


@pytest.mark.slow
def test_conformers_of_a_row_are_one_isomer_after_every_stage(cases_folder: Path, tmp_path: Path) -> None:
    given = {
        m.id: (m.input_smiles, m.input_columns["note"]) for m in read_molecules(cases_folder / "stereo.csv")
    }
    stages = chain(cases_folder / "stereo.csv", tmp_path, conformers=3, denoise=True)
    found = defaultdict(set)
    for row in (row for rows in stages for row in rows):
        assert row.proceeds, (row.id, row.start, row.message)
        found[row.id].add(isomer(row))
    for row in stages[-1]:
        assert row.stereo_unchanged is True
        assert (row.isomer is not None) == ("unspecified" in given[row.id][1]), row.id
    assert {name: len(isomers) for name, isomers in found.items()} == dict.fromkeys(given, 1)
    for name, (smiles, note) in given.items():
        if note == "given":
            assert min(found[name]).split()[0] == Chem.CanonSmiles(smiles), name


def test_no_row_ends_for_want_of_a_force_field(cases_folder: Path, tmp_path: Path) -> None:
    *_, starts, relaxed = chain(cases_folder / "no_force_field.csv", tmp_path)
    assert {row.status for row in starts} == {"fallback"}
    assert {row.id: row.status for row in relaxed} == {row.id: "ok" for row in starts}
    assert all(row.fallback for row in relaxed), "they are counted apart"


def test_bohr_is_told_as_bohr(cases_folder: Path) -> None:
    (molecule,) = read_molecules(cases_folder / "ethanol_in_bohr.xyz")
    assert molecule.status == "input_error" and "seem to be in bohr" in molecule.message


@pytest.mark.parametrize(
    "level",
    [{"engine": "tblite", "method": "GFN2-xTB"}, {"engine": "pyscf", "method": "HF", "basis": "3-21G"}],
    ids=["tblite", "pyscf"],
)
def test_two_charges_of_one_geometry_are_two_energies(
    level: dict[str, str], cases_folder: Path, tmp_path: Path
) -> None:
    embed_shard(cases_folder / "same_geometry_two_charges.xyz", tmp_path / "0.extxyz", None, 1, 42)
    point = Relaxation(**level, optimizer="bfgs", max_steps=0)
    relax_shard(tmp_path / "0.extxyz", tmp_path / "1.extxyz", point, named=Named(target="t"))
    neutral, cation = read_shard(tmp_path / "1.extxyz")
    assert cation.energy_ev - neutral.energy_ev > 5


def test_a_model_that_knows_no_charges_refuses_the_ion(cases_folder: Path, tmp_path: Path) -> None:
    embed_shard(cases_folder / "same_geometry_two_charges.xyz", tmp_path / "0.extxyz", None, 1, 42)
    call = ["diffuse", str(tmp_path / "0.extxyz"), str(tmp_path / "1.extxyz"), "--model", "edm-qm9-small"]
    subprocess.run([sys.executable, "-m", "prerelax", *call], check=True, capture_output=True)
    neutral, cation = read_shard(tmp_path / "1.extxyz")
    assert neutral.status == "ok"
    assert cation.status == "fallback" and "charge +1" in cation.message


def one_of(name: str, cases_folder: Path, tmp_path: Path) -> Path:
    """A table with one row of the public reports."""
    lines = (cases_folder / "public_reports.csv").read_text().splitlines()
    table = tmp_path / f"{name}.csv"
    table.write_text("\n".join([lines[0], *(line for line in lines if line.startswith(f"{name},"))]))
    return table


def test_nitrogen_takes_few_gradients(cases_folder: Path, tmp_path: Path) -> None:
    """RDKit's MMFF94 has no parameters for its bond, and guesses 1.46 Å."""
    *_, (start,), (relaxed,) = chain(one_of("nitrogen", cases_folder, tmp_path), tmp_path)
    assert start.status == "fallback" and "the bond N1#N2; RDKit guesses 1.46 Å" in start.message
    assert relaxed.status == "ok" and (relaxed.n_gradients or 99) <= 4


def test_an_iron_atom_says_in_which_spin_state_it_is(tmp_path: Path) -> None:
    (tmp_path / "iron.csv").write_text("id,smiles\niron,[Fe]\n")
    *_, (relaxed,) = chain(tmp_path / "iron.csv", tmp_path)
    assert "multiplicity 1; with Fe another may lie lower" in relaxed.message


@pytest.mark.slow
def test_pinacolone_leaves_its_saddle_point(cases_folder: Path, tmp_path: Path) -> None:
    embed_shard(one_of("pinacolone", cases_folder, tmp_path), tmp_path / "a.extxyz", None, 1, 42)
    checked = GFN2.model_copy(update={"check_minimum": "target", "kick": True})
    relax_shard(tmp_path / "a.extxyz", tmp_path / "b.extxyz", checked, named=Named(target="t"))
    (row,) = read_shard(tmp_path / "b.extxyz")
    assert row.status == "ok" and row.n_imaginary == 0 and "from a saddle point" in row.message


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mmff94", "uff", "none"])
def test_tetrazine_is_planar_at_dft(method: str, cases_folder: Path, tmp_path: Path) -> None:
    shards = [tmp_path / f"{number}.extxyz" for number in range(3)]
    embed_shard(one_of("tetrazine", cases_folder, tmp_path), shards[0], None, 1, 42)
    if method != "none":
        forcefield_shard(shards[0], shards[1], method, None, method)
    hf = Relaxation(engine="pyscf", method="HF", basis="3-21G")
    relax_shard(shards[method != "none"], shards[2], hf, named=Named(target="t"))
    (row,) = read_shard(shards[2])
    out_of_plane = np.linalg.svd(row.positions - row.positions.mean(axis=0))[1][-1]
    assert row.status == "ok" and out_of_plane / np.sqrt(len(row.numbers)) < 0.01


@pytest.mark.slow
def test_a_floppy_radical_converges_or_says_that_it_does_not(cases_folder: Path, tmp_path: Path) -> None:
    b3lyp = Relaxation(engine="pyscf", method="B3LYP", basis="3-21G")
    *_, (row,) = chain(one_of("hydroxybutyl", cases_folder, tmp_path), tmp_path, relaxation=b3lyp)
    assert row.status == "not_converged" or (row.status == "ok" and (row.n_gradients or 99) <= 17)


@pytest.mark.slow
def test_public_reports_end_as_they_should(cases_folder: Path, tmp_path: Path) -> None:
    only = Relaxation(engine="tblite", method="GFN2-xTB", only=Only(max_atoms=100))
    embedded, _, relaxed = chain(cases_folder / "public_reports.csv", tmp_path, relaxation=only)
    rows = {row.id: row for row in relaxed}
    peptide = embedded[0]
    assert peptide.wall_s < 240 and peptide.status in ("ok", "embed_failed")
    ether = rows["bridged-ether"]
    assert ether.stereo_unchanged or (ether.status == "embed_failed" and "stereochemistry" in ether.message)
    quinoline = rows["hydroxyquinoline"]
    assert quinoline.connectivity_unchanged or "is broken" in quinoline.message
    glycine = rows["glycine-zwitterion"]
    assert glycine.connectivity_unchanged is False
    assert "is broken" in glycine.message and "is new" in glycine.message and "O" in glycine.message
    assert all(rows[name].status == "ok" for name in ("tetrazine", "hydroxybutyl", "pinacolone", "nitrogen"))
