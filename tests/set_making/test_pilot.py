"""Fragments that cover what a campaign's molecules are made of."""

from pathlib import Path

import pytest
from rdkit import Chem

from prerelax.errors import UserError
from prerelax.set_making.options import PilotOptions
from prerelax.set_making.pilot import cover, environments, surroundings, write_pilot
from prerelax.starts.embed import embed_shard

DRUGS = [
    "CCCc1nn(C)c2c1nc([nH]c2=O)-c1cc(ccc1OCC)S(=O)(=O)N1CCN(C)CC1",
    "CC(C)Cc1ccc(cc1)C(C)C(=O)Nc1ccc(cc1)N1CCOCC1",
    "COc1ccc(CCNC(=O)c2cccnc2)cc1OCCN1CCCC1",
    "CC(=O)NCCc1ccccc1",
]


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    lines = [*DRUGS, "C[N+](C)(C)CCOC(=O)c1ccccc1", "not a SMILES", "CNC(C)=O"]
    (tmp_path / "molecules.smi").write_text("\n".join(lines))
    out = tmp_path / "molecules.extxyz"
    embed_shard(tmp_path / "molecules.smi", out, None, 1, 42)
    return out


def test_a_pilot_is_small_and_holds_no_molecule_of_the_campaign(shard: Path, tmp_path: Path) -> None:
    out = tmp_path / "pilot.smi"
    n = write_pilot([shard], out, PilotOptions(count=15, max_heavy_atoms=10))
    found = [line.split()[0] for line in out.read_text().splitlines()]
    assert len(found) == n == len(set(found)) == 15
    for smiles in found:
        molecule = Chem.MolFromSmiles(smiles)
        assert 3 <= molecule.GetNumHeavyAtoms() <= 10 and not Chem.GetFormalCharge(molecule)
    assert Chem.CanonSmiles("CNC(C)=O") not in map(Chem.CanonSmiles, found), "it is one of the molecules"
    write_pilot([shard], tmp_path / "again.smi", PilotOptions(count=15, max_heavy_atoms=10))
    assert (tmp_path / "again.smi").read_text() == out.read_text()


def test_every_bond_is_cut_out_with_its_rings_and_multiple_bonds() -> None:
    found = surroundings(Chem.MolFromSmiles(DRUGS[0]), 8)
    assert Chem.CanonSmiles("CS(=O)(=O)N(C)C") in found, "the sulfonamide, whose rings would be too large"
    assert all(Chem.MolFromSmiles(each).GetNumHeavyAtoms() <= 8 for each in found)
    larger = surroundings(Chem.MolFromSmiles(DRUGS[1]), 12)
    assert any(Chem.MolFromSmiles(each).HasSubstructMatch(Chem.MolFromSmarts("cNC(=O)C")) for each in larger)
    assert surroundings(Chem.MolFromSmiles("c1ccccc1"), 8) == set(), "the part is the molecule"


def test_the_cover_takes_what_is_common_and_new_for_its_cost() -> None:
    molecules = [Chem.MolFromSmiles(s) for s in ("CCCCO", "CCCO", "CCO", "CCCN")]
    assert cover(["CCCO", "CCCN", "CCCF"], molecules, 2) == ["CCCO", "CCCN"]
    assert cover(["CCCO", "CCCCO", "CCN"], molecules, 2)[0] != "CCN"
    assert len(cover(["CCO"], molecules, 5)) == 1


def test_a_cover_has_more_environments_than_the_first_parts(shard: Path, tmp_path: Path) -> None:
    options = PilotOptions(count=200, max_heavy_atoms=10)
    write_pilot([shard], tmp_path / "all.smi", options)
    parts = sorted(line.split()[0] for line in (tmp_path / "all.smi").read_text().splitlines())
    molecules = [Chem.MolFromSmiles(drug) for drug in DRUGS]
    wanted = {each for molecule in molecules for each in environments(molecule)}

    def covered(chosen: list[str]) -> int:
        return len(wanted & {e for part in chosen for e in environments(Chem.MolFromSmiles(part))})

    assert covered(cover(parts, molecules, 12)) > covered(parts[:12])


def test_too_few_fragments_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "small.smi").write_text("CO\nCCO\n")
    embed_shard(tmp_path / "small.smi", tmp_path / "small.extxyz", None, 1, 42)
    with pytest.raises(UserError, match="1 fragments of at most 8 heavy atoms are too few"):
        write_pilot([tmp_path / "small.extxyz"], tmp_path / "pilot.smi", PilotOptions(count=20))
