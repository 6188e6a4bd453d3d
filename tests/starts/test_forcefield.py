"""Force-field starts: convergence reported, connectivity watched, nothing dropped."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from prerelax.errors import UserError
from prerelax.molecules.graph import bonded_matrix, mapped_smiles, mol_from_mapped_smiles
from prerelax.molecules.molecule import read_molecules
from prerelax.molecules.perception import perceived_molecule
from prerelax.molecules.stereo import changes
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.starts.embed import embed_shard, embedded
from prerelax.starts.forcefield import forcefield_shard, minimised

DRUG = "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)NCCN1CCN(CC1)c1ccccc1OC"


def embedded_record(smiles: str, tmp_path: Path) -> Record:
    path = tmp_path / "one.csv"
    path.write_text(f"id,smiles\nx,{smiles}\n")
    (record,) = embedded(read_molecules(path)[0])
    return record


def mmff94_gradient(record: Record) -> float:
    """Largest component, kcal/mol/Å."""
    mol = mol_from_mapped_smiles(record.smiles, record.positions)
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(mol)
    return float(np.abs(rdForceFieldHelpers.MMFFGetMoleculeForceField(mol, properties).CalcGrad()).max())


def test_200_iterations_are_rdkits_default_and_none_goes_on_to_convergence(tmp_path: Path) -> None:
    start = embedded_record(DRUG, tmp_path)
    short, full = minimised(start, "mmff94", 200, "mmff94-200"), minimised(start, "mmff94", None, "mmff94")
    mol = mol_from_mapped_smiles(start.smiles, start.positions)
    assert rdForceFieldHelpers.MMFFOptimizeMolecule(mol) == 1
    np.testing.assert_allclose(short.positions, mol.GetConformer().GetPositions(), atol=1e-9)
    assert (short.status, short.start) == ("not_converged", "mmff94-200")
    assert "200 iterations" in short.message
    assert (full.status, full.message) == ("ok", "")
    assert mmff94_gradient(full) < 0.01 < mmff94_gradient(short)
    assert full.stages_s.keys() == {"rdkit", "mmff94"}
    assert full.wall_s == full.stages_s["mmff94"] > 0


def test_charges_of_the_graph_reach_the_force_field(tmp_path: Path) -> None:
    """The ammonium's N–C bond of MMFF94 is longer than the amine's."""
    lengths = []
    for smiles in ("CN", "C[NH3+]"):
        record = minimised(embedded_record(smiles, tmp_path), "mmff94", None, "mmff94")
        lengths.append(np.linalg.norm(record.positions[0] - record.positions[1]))
    assert lengths[1] - lengths[0] > 0.02


def test_rows_that_do_not_proceed_are_copied_under_the_new_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,smiles\na,CC(\nb,C1#CC1\nc,CCO\n")
    embed_shard(path, tmp_path / "rdkit.extxyz", None, 2, 42)
    forcefield_shard(tmp_path / "rdkit.extxyz", tmp_path / "uff.extxyz", "uff", None, "uff")
    before, after = read_shard(tmp_path / "rdkit.extxyz"), read_shard(tmp_path / "uff.extxyz")
    assert [(r.id, r.conformer) for r in after] == [(r.id, r.conformer) for r in before]
    assert {r.start for r in after} == {"uff"}
    for old, new in zip(before[:4], after[:4], strict=True):
        assert (new.status, new.message, new.stages_s) == (old.status, old.message, old.stages_s)
    assert [r.status for r in after[4:]] == ["ok", "ok"]


def test_unconverged_rows_go_on_and_may_converge(tmp_path: Path) -> None:
    short = minimised(embedded_record(DRUG, tmp_path), "mmff94", 20, "mmff94-20")
    assert short.status == "not_converged"
    assert minimised(short, "mmff94", None, "mmff94").status == "ok"


@pytest.mark.parametrize(
    ("smiles", "mmff94", "uff"),
    [
        ("OB(O)c1ccccc1", "forcefield_unavailable", "ok"),
        ("FS(F)(F)(F)(F)F", "forcefield_unavailable", "forcefield_unavailable"),
        ("[H][H]", "forcefield_unavailable", "ok"),
        ("[He]", "ok", "ok"),
        ("[Na+]", "ok", "ok"),
        ("C", "ok", "ok"),
        ("CN=[N+]=[N-]", "ok", "ok"),
    ],
)
def test_missing_parameters_are_a_status(smiles: str, mmff94: str, uff: str, tmp_path: Path) -> None:
    start = embedded_record(smiles, tmp_path)
    for method, status in (("mmff94", mmff94), ("uff", uff)):
        record = minimised(start, method, None, method)
        assert record.status == status
        assert len(record.numbers) == len(start.numbers)
        if status == "forcefield_unavailable":
            np.testing.assert_array_equal(record.positions, start.positions)
            assert method.upper() in record.message


def test_changed_connectivity_is_a_status(tmp_path: Path) -> None:
    """Two hydrogens exchanged for each other's place across the molecule end with a bond through it."""
    start = embedded_record("CCCCCCO", tmp_path)
    tangled = start.positions.copy()
    tangled[[0, 6]] = tangled[[6, 0]]
    tangled[[1, 4]] = tangled[[4, 1]]
    record = minimised(replace(start, positions=tangled), "mmff94", 5, "mmff94-5")
    assert record.status == "connectivity_changed"
    assert "is another molecule" in record.message and "–" in record.message


NO_FORCE_FIELD = {
    "ammonia-borane": ("[NH3+][BH3-]", 0, 1),
    "phenylboronic": ("OB(O)c1ccccc1", 0, 1),
    "oxygen": ("O=O", 0, 3),
    "carbon-monoxide": ("[C-]#[O+]", 0, 1),
    "sulfur-hexafluoride": ("FS(F)(F)(F)(F)F", 0, 1),
    "dimethyl-selenide": ("C[Se]C", 0, 1),
}


def test_what_mmff94_does_not_know_goes_on_by_uff_else_by_gfn2(tmp_path: Path) -> None:
    lines = [f"{name},{smiles},{charge},{m}" for name, (smiles, charge, m) in NO_FORCE_FIELD.items()]
    (tmp_path / "m.csv").write_text("\n".join(["id,smiles,charge,multiplicity", *lines, "ethanol,CCO,0,1"]))
    embed_shard(tmp_path / "m.csv", tmp_path / "0.extxyz", None, 1, 42)
    forcefield_shard(tmp_path / "0.extxyz", tmp_path / "1.extxyz", "mmff94", None, "mmff94")
    *rows, ethanol = read_shard(tmp_path / "1.extxyz")
    assert (ethanol.status, ethanol.fallback) == ("ok", None)
    for row in rows:
        assert (row.status, row.start) == ("fallback", "mmff94"), row.id
        assert row.fallback is not None and row.fallback.startswith("MMFF94 has no ")
        assert not changes(row.smiles, row.positions)
        instead = "GFN2-xTB" if row.id == "sulfur-hexafluoride" else "UFF"
        assert f"; {instead} instead" in row.message
        said = json.loads(row.settings or "{}")
        assert (said.get("instead_of") == "mmff94") == (instead == "UFF")
    bond = np.linalg.norm(rows[-2].positions[0] - rows[-2].positions[1])
    assert bond == pytest.approx(1.56, abs=0.05)  # of SF6: 1.561 Å (NIST), at GFN2-xTB 1.590


def test_without_a_fallback_the_row_ends_there(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("id,smiles\nselenide,C[Se]C\n")
    embed_shard(tmp_path / "m.csv", tmp_path / "0.extxyz", None, 1, 42)
    forcefield_shard(tmp_path / "0.extxyz", tmp_path / "1.extxyz", "mmff94", None, "mmff94", "none")
    (row,) = read_shard(tmp_path / "1.extxyz")
    assert (row.status, row.fallback) == ("forcefield_unavailable", None)


def test_radicals_are_said_to_be_beyond_mmff94(tmp_path: Path) -> None:
    assert "radicals" in minimised(embedded_record("[CH3]", tmp_path), "mmff94", None, "mmff94").message


def test_unknown_force_field(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mmff94, uff"):
        forcefield_shard(tmp_path / "a.extxyz", tmp_path / "b.extxyz", "amber", None, "x")  # type: ignore[arg-type]


def test_qm9_minima_are_those_of_the_data_set(data_folder: Path) -> None:
    """From QM9's own geometry: the same MMFF94 minimum as `positions_mmff94`, which stopped short of it.

    The data set's optimizer left gradients of 0.5 kcal/mol/Å (median), so torsions differ; bonds do not. For
    one molecule in ten it assigned other atom types. Of one nitrile, perceived as a ketenimine anion,
    RDKit guesses the bond.
    """
    data = np.load(data_folder / "qm9_val.npz")
    ends = np.cumsum(data["n_atoms"])
    difference, guessed = [], 0
    for i in range(0, len(ends), 20):
        atoms = slice(ends[i] - data["n_atoms"][i], ends[i])
        numbers, positions = data["numbers"][atoms].astype(int), data["positions"][atoms].astype(float)
        reference = data["positions_mmff94"][atoms].astype(float)
        mol = perceived_molecule(numbers, positions, 0, None)
        row = Record(id=str(i), numbers=numbers, positions=positions, smiles=mapped_smiles(mol))
        minimum = minimised(row, "mmff94", None, "mmff94")
        if "RDKit guesses" in minimum.message:
            guessed += 1
            continue
        assert minimum.status == "ok"
        bonded = np.triu(bonded_matrix(mol))
        lengths = [
            np.linalg.norm(x[:, None] - x[None], axis=-1)[bonded] for x in (minimum.positions, reference)
        ]
        difference.append(np.abs(lengths[0] - lengths[1]).mean())
    assert guessed == 1
    assert np.median(difference) < 0.0006
    assert np.mean(np.array(difference) < 0.002) > 0.8


def test_charged_drugs_from_their_coordinates(data_folder: Path, tmp_path: Path) -> None:
    """Bonds, charges and MMFF94 types of drug-like ions from coordinates and total charge alone."""
    frames = charged_drug_frames(data_folder)
    path = tmp_path / "ions.xyz"
    path.write_text("".join(frames))
    embed_shard(path, tmp_path / "rdkit.extxyz", None, 1, 42)
    records = read_shard(tmp_path / "rdkit.extxyz")
    assert [r.status for r in records] == ["ok"] * len(frames)
    write_shard(tmp_path / "some.extxyz", records[::4])
    forcefield_shard(tmp_path / "some.extxyz", tmp_path / "mmff94.extxyz", "mmff94", None, "mmff94")
    assert {r.status for r in read_shard(tmp_path / "mmff94.extxyz")} == {"ok"}


def charged_drug_frames(data_folder: Path) -> list[str]:
    """One XYZ frame for each molecule of druglike_charges.txt."""
    import gzip

    lines = (data_folder / "druglike_charges.txt").read_text().splitlines()
    charges = dict(line.split()[:2] for line in lines if "CHARGE=" in line)
    records = (
        gzip.decompress((data_folder / "druglike_b3lyp_d3bj.sdf.gz").read_bytes()).decode().split("$$$$\n")
    )
    frames = {}
    for record in records[:-1]:
        name = record.split()[1]
        if name in frames or name not in charges:
            continue
        mol = Chem.MolFromMolBlock(record, sanitize=False, removeHs=False)
        rows = [
            f"{atom.GetSymbol()} {x} {y} {z}"
            for atom, (x, y, z) in zip(mol.GetAtoms(), mol.GetConformer().GetPositions(), strict=True)
        ]
        comment = f"id={name} {charges[name].replace('CHARGE', 'charge')}"
        frames[name] = "\n".join([str(len(rows)), comment, *rows]) + "\n"
    return list(frames.values())
