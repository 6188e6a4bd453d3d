"""Exports are read back by the programs that they are for, with nothing lost."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase.units import Hartree, kcal, mol
from rdkit import Chem

from prerelax.campaign.sharding import Shard, write_shards
from prerelax.errors import UserError
from prerelax.exports.export import KINDS, export
from prerelax.molecules.molecule import read_molecules
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard

TABLE = """id,smiles,charge,batch,"Yield / %"
000123,C[C@H](O)F,,7,93
ion/1,C[NH3+],1,8,"4,5"
bad,C(,,9,
radical,[CH3],,10,
"""
CONFIG = """campaign: c
molecules: m.csv
conformers: 2
starts: {mmff94: {kind: forcefield}}
targets: {gfn2: {engine: tblite, method: GFN2-xTB}}
"""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("campaign")
    (folder / "m.csv").write_text(TABLE)
    results = folder / "results" / "c"
    rdkit, mmff94 = results / "molecules" / "0000.extxyz", results / "starts" / "mmff94" / "0000.extxyz"
    for path in (rdkit, mmff94):
        path.parent.mkdir(parents=True)
    embed_shard(folder / "m.csv", rdkit, None, 2, 42)
    forcefield_shard(rdkit, mmff94, "mmff94", None, "mmff94")
    relaxed = results / "relaxed" / "gfn2" / "mmff94" / "0000.extxyz"
    relaxed.parent.mkdir(parents=True)
    relax_shard(mmff94, relaxed, Relaxation(engine="tblite", method="GFN2-xTB"), named=Named(target="gfn2"))
    write_shards(results / "shards.csv", [Shard(0, 4)])
    (results / "campaign.yaml").write_text(CONFIG)
    return results


@pytest.fixture(scope="module")
def rows(campaign: Path) -> list[Record]:
    shard = read_shard(campaign / "relaxed" / "gfn2" / "mmff94" / "0000.extxyz")
    return [row for row in shard if row.energy_ev is not None]


def test_sdf_keeps_geometry_isomer_id_columns_and_energies(campaign: Path, rows: list[Record]) -> None:
    said = export(campaign, "sdf")
    assert said.startswith(f"{campaign / 'minima.sdf'}: 6 minima at GFN2-xTB (tblite); 2 rows have none")
    assert "V3000" in (campaign / "minima.sdf").read_text()
    mols = list(Chem.SDMolSupplier(str(campaign / "minima.sdf"), removeHs=False))
    for found, row in zip(mols, rows, strict=True):
        assert [atom.GetAtomicNum() for atom in found.GetAtoms()] == row.numbers.tolist()
        np.testing.assert_allclose(found.GetConformer().GetPositions(), row.positions, atol=1e-6)
        assert float(found.GetProp("energy_hartree")) * Hartree == pytest.approx(row.energy_ev, abs=1e-7)
        assert Chem.GetFormalCharge(found) == int(found.GetProp("charge")) == row.charge
    first = mols[0]
    assert (first.GetProp("_Name"), mols[1].GetProp("_Name")) == ("000123", "000123_c1")
    assert first.GetProp("batch") == "7" and first.GetProp("Yield / %") == "93"
    assert first.GetProp("input_smiles") == "C[C@H](O)F"
    assert Chem.MolToSmiles(Chem.RemoveHs(first)) == Chem.CanonSmiles("C[C@H](O)F")
    relative = [float(each.GetProp("relative_energy_kcal_mol")) for each in mols[:2]]
    assert min(relative) == 0
    assert max(relative) == pytest.approx(abs(rows[0].energy_ev - rows[1].energy_ev) / (kcal / mol), abs=1e-3)


def test_prerelax_reads_its_own_sdf_and_xyz(campaign: Path, rows: list[Record]) -> None:
    for kind in ("sdf", "xyz"):
        export(campaign, kind)
        molecules = read_molecules(campaign / f"minima.{kind}")
        assert [m.status for m in molecules] == ["ok"] * 6
        assert molecules[0].id == "000123" and molecules[0].charge == rows[0].charge
        np.testing.assert_allclose(molecules[2].positions, rows[2].positions, atol=1e-6)
        assert [m.multiplicity for m in molecules] == [row.multiplicity for row in rows]


def test_xyz_and_ase_database(campaign: Path, rows: list[Record]) -> None:
    from ase.db import connect

    export(campaign, "xyz")
    frames = ase.io.read(campaign / "minima.xyz", index=":")
    assert "_JSON" not in (campaign / "minima.xyz").read_text()
    export(campaign, "ase-db")
    export(campaign, "ase-db")  # once more: nothing twice
    with connect(campaign / "minima.db") as database:
        stored = list(database.select())
        assert [each.data["batch"] for each in database.select(total_charge=1)] == ["8", "8"]
    for frame, entry, row in zip(frames, stored, rows, strict=True):
        for atoms in (frame, entry.toatoms()):
            assert atoms.numbers.tolist() == row.numbers.tolist()
            np.testing.assert_allclose(atoms.positions, row.positions, atol=1e-7)
            assert atoms.get_potential_energy() == pytest.approx(row.energy_ev, abs=1e-7)
        assert entry.data["id"] == row.id


def test_csv_has_the_rows_that_failed_too(campaign: Path) -> None:
    export(campaign, "csv")
    table = pd.read_csv(campaign / "minima.csv", dtype=str, keep_default_na=False)
    assert table["id"].tolist() == ["000123"] * 2 + ["ion/1"] * 2 + ["bad"] * 2 + ["radical"] * 2
    assert table["status"].tolist()[4] == "input_error" and "not valid SMILES" in table["message"].tolist()[4]
    assert table["Yield / %"].tolist()[2] == "4,5"
    assert list(table)[:3] == ["id", "conformer", "input_smiles"]


def test_qcschema_is_what_qcelemental_reads(campaign: Path, rows: list[Record]) -> None:
    models = pytest.importorskip("qcelemental.models")
    export(campaign, "qcschema")
    results = json.loads((campaign / "minima.json").read_text())
    for result, row in zip(results, rows, strict=True):
        read = models.AtomicResult(**result)
        assert read.return_result * Hartree == pytest.approx(row.energy_ev, abs=1e-9)
        np.testing.assert_allclose(
            np.asarray(read.molecule.geometry) * 0.529177210903, row.positions, atol=1e-6
        )
        assert (read.molecule.molecular_charge, read.molecule.molecular_multiplicity) == (
            row.charge,
            row.multiplicity,
        )
        assert read.molecule.symbols.tolist() == [
            Chem.GetPeriodicTable().GetElementSymbol(int(z)) for z in row.numbers
        ]


@pytest.mark.parametrize(("program", "ending"), [("orca", "inp"), ("gaussian", "gjf")])
def test_inputs_of_programs_come_back_as_the_same_molecules(
    program: str, ending: str, campaign: Path, rows: list[Record], tmp_path: Path
) -> None:
    export(campaign, program, out=tmp_path / "in")
    names = ["000123", "000123_c1", "ion_1", "ion_1_c1", "radical", "radical_c1"]
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == sorted(f"{n}.{ending}" for n in names)
    for name, row in zip(names, rows, strict=True):
        (molecule,) = read_molecules(tmp_path / "in" / f"{name}.{ending}")
        assert (molecule.status, molecule.charge, molecule.multiplicity) == (
            "ok",
            row.charge,
            row.multiplicity,
        )
        np.testing.assert_allclose(molecule.positions, row.positions, atol=1e-9)
    if program == "gaussian":
        atoms = ase.io.read(tmp_path / "in" / "ion_1.gjf", format="gaussian-in", attach_calculator=True)
        assert atoms.calc.parameters["charge"] == 1
        np.testing.assert_allclose(atoms.positions, rows[2].positions, atol=1e-9)


def test_a_template_of_ones_own(campaign: Path, tmp_path: Path) -> None:
    template = tmp_path / "t.inp"
    template.write_text("! HF\n%scf {x} end\n* xyz {charge} {multiplicity}\n{geometry}\n*\n# {name}\n")
    export(campaign, "orca", out=tmp_path / "in", template=template, lowest=True)
    files = sorted((tmp_path / "in").iterdir())
    assert len(files) == 3
    assert "%scf {x} end\n* xyz 1 1\nC " in files[1].read_text()
    template.write_text("! HF\n{geometry}")
    with pytest.raises(UserError, match=r"lacks \{charge\}, \{multiplicity\}"):
        export(campaign, "orca", out=tmp_path / "in", template=template)


def test_supporting_information_names_level_programs_and_citations(campaign: Path, tmp_path: Path) -> None:
    export(campaign, "si", out=tmp_path / "si.md", lowest=True)
    text = (tmp_path / "si.md").read_text()
    for words in (
        "GFN2-xTB (tblite)",
        "below 0.03 eV/Å",
        "tblite 0",
        "J. Chem. Theory Comput. 2019, 15, 1652",
    ):
        assert words in text, words
    assert text.count("### ") == 3


def test_wrong_words_are_told(campaign: Path, tmp_path: Path) -> None:
    for call, says in [
        ({"kind": "sfd"}, "did you mean sdf"),
        ({"kind": "sdf", "target": "gfn1"}, "did you mean gfn2"),
        ({"kind": "sdf", "template": tmp_path}, "--template is for orca and gaussian"),
    ]:
        with pytest.raises(UserError, match=says):
            export(campaign, **call)  # type: ignore[arg-type]


def test_of_several_starts_the_lowest_whole_minimum_is_taken(tmp_path: Path, rows: list[Record]) -> None:
    from dataclasses import replace

    results = tmp_path / "results" / "c"
    starts = "{mmff94: {kind: forcefield}, uff: {kind: forcefield, method: uff}}"
    results.mkdir(parents=True)
    (results / "campaign.yaml").write_text(CONFIG.replace("{mmff94: {kind: forcefield}}", starts))
    write_shards(results / "shards.csv", [Shard(0, 1)])
    one = rows[0]
    lower = replace(one, start="uff", energy_ev=one.energy_ev - 1, stereo_unchanged=False)
    for start, row in (("mmff94", one), ("uff", lower)):
        (results / "relaxed" / "gfn2" / start).mkdir(parents=True)
        write_shard(results / "relaxed" / "gfn2" / start / "0000.extxyz", [row])
    export(results, "csv")
    assert pd.read_csv(results / "minima.csv")["start"].tolist() == ["mmff94"]
    write_shard(results / "relaxed/gfn2/uff/0000.extxyz", [replace(lower, stereo_unchanged=True)])
    export(results, "csv")
    assert pd.read_csv(results / "minima.csv")["start"].tolist() == ["uff"]


def test_targets_of_one_level_count_together_and_practice_is_not_the_one_chosen(
    tmp_path: Path, rows: list[Record]
) -> None:
    from dataclasses import replace

    results = tmp_path / "results" / "c"
    results.mkdir(parents=True)
    targets = "targets: {gfn2: {engine: tblite, method: GFN2-xTB, starts: [mmff94]}}"
    practice = (
        CONFIG.replace(CONFIG.splitlines()[-1], targets) + "practice: gfn2-geometric\ncompare: {sample: 1}\n"
    )
    (results / "campaign.yaml").write_text(practice)
    write_shards(results / "shards.csv", [Shard(0, 2)])
    one, other = rows[0], replace(rows[2], conformer=0)
    lower = replace(one, start="gfn2", energy_ev=one.energy_ev - 0.1)
    skipped = replace(other, start="gfn2", status="skipped", energy_ev=None)
    shards = {"gfn2/mmff94": [one, other], "gfn2-practice/gfn2": [lower, skipped]}
    for name, records in shards.items():
        (results / "relaxed" / name).mkdir(parents=True)
        write_shard(results / "relaxed" / name / "0000.extxyz", records)
    assert "2 minima" in export(results, "csv")
    table = pd.read_csv(results / "minima.csv", dtype=str)
    assert table["start"].tolist() == ["gfn2", "mmff94"] and table["status"].tolist() == ["ok", "ok"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_of_an_export_is_made(campaign: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "für ORCA" / "minima"
    export(campaign, kind, out=out)
    assert out.exists()


@pytest.mark.parametrize(
    ("kind", "taken", "says"), [("sdf", "folder", "is a folder"), ("orca", "f", "is a file")]
)
def test_nothing_is_written_over_a_folder(
    campaign: Path, tmp_path: Path, kind: str, taken: str, says: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "f").write_text("mine")
    with pytest.raises(UserError, match=says):
        export(campaign, kind, out=tmp_path / taken)
    with pytest.raises(UserError, match="cannot be written"):
        export(campaign, kind, out=tmp_path / "f" / "below")
    assert (tmp_path / "f").read_text() == "mine"


def test_a_rearranged_molecule_is_told_and_loses_its_bonds(campaign: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(campaign.parent.parent, tmp_path / "c")) / "results" / "c"
    shard = copied / "relaxed" / "gfn2" / "mmff94" / "0000.extxyz"
    rows = [
        replace(row, connectivity_unchanged=False) if row.id == "ion/1" else row for row in read_shard(shard)
    ]
    write_shard(shard, rows)
    out = tmp_path / "minima.json"
    assert "; 2 with other bonds than the molecule (connectivity_unchanged)" in export(
        copied, "qcschema", out=out
    )
    for result in json.loads(out.read_text()):
        rearranged = result["id"].startswith("ion/1")
        assert (result["molecule"]["connectivity"] is None) == rearranged
        assert (result["molecule"]["identifiers"] == {}) == rearranged


def test_a_renamed_folder_is_not_taken_for_another(campaign: Path, tmp_path: Path) -> None:
    renamed = Path(shutil.copytree(campaign, tmp_path / "results" / "old"))
    with pytest.raises(UserError, match="results of the campaign c"):
        export(renamed, "sdf")
    with pytest.raises(UserError, match="holds no campaign"):
        export(renamed.parent, "sdf")


def test_an_unfinished_campaign_says_so(campaign: Path, tmp_path: Path) -> None:
    assert "not finished" not in export(campaign, "csv", out=tmp_path / "all.csv")
    copied = Path(shutil.copytree(campaign, tmp_path / "results" / "c"))
    write_shards(copied / "shards.csv", [Shard(0, 4), Shard(4, 6), Shard(6, 7)])
    assert export(copied, "csv", out=tmp_path / "some.csv").endswith("is not finished: 2 shards to go")
