"""The two lines of the README, run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prerelax.molecules.superposition import rmsd

DENOISE_FORMALDEHYDE = """
import numpy as np
from ase.build import molecule
from prerelax import DiffusionRelaxation
atoms = molecule("CH3CHO")
atoms.positions += np.random.default_rng(0).normal(scale=0.03, size=atoms.positions.shape)
before = atoms.get_distance(0, 1)
assert DiffusionRelaxation(atoms, model="edm-qm9-small", steps=50).run()
print(before, atoms.get_distance(0, 1))
"""


def test_diffusion_relaxation_moves_atoms_to_a_minimum_of_its_training_level() -> None:
    # A process of its own, as torch and QM engines never share one.
    done = subprocess.run(
        [sys.executable, "-c", DENOISE_FORMALDEHYDE], capture_output=True, text=True, check=True
    )
    _, carbonyl = map(float, done.stdout.split())
    # B3LYP/6-31G(2df,p), QM9's acetaldehyde: C=O 1.2049 Å
    assert carbonyl == pytest.approx(1.205, abs=0.01)


def test_diffusion_relaxation_refuses_what_it_was_not_trained_on() -> None:
    code = """
from ase.build import molecule
from prerelax import DiffusionRelaxation
atoms = molecule("SiH4")
start = atoms.positions.copy()
relaxation = DiffusionRelaxation(atoms, fallback="none")
assert not relaxation.run() and relaxation.status == "unsupported_element", relaxation.message
assert (atoms.positions == start).all()
relaxation = DiffusionRelaxation(atoms)
assert relaxation.run() and relaxation.status == "fallback" and "GFN2-xTB" in relaxation.message
assert abs(atoms.get_distance(0, 1) - 1.48) < 0.05  # experiment: 1.480 Å
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_charge_that_atoms_carry_counts() -> None:
    from ase.build import molecule

    from prerelax import DiffusionRelaxation

    atoms = molecule("HCOOH")
    assert (DiffusionRelaxation(atoms).charge, DiffusionRelaxation(atoms).multiplicity) == (0, 1)
    atoms.info |= {"charge": -1, "multiplicity": 2}
    carried = DiffusionRelaxation(atoms)
    assert (carried.charge, carried.multiplicity) == (-1, 2)
    assert DiffusionRelaxation(atoms, charge=1).charge == 1


def test_relax_smiles_gives_one_structure_for_each_smiles() -> None:
    from prerelax import relax_smiles

    water, broken, carbon_dioxide = relax_smiles(["O", "C1CC", "O=C=O"])
    assert water.info["status"] == "ok"
    assert water.info["n_gradients"] == water.info["n_steps"] + 1
    assert water.info["fmax_ev_ang"] <= 0.03
    assert water.get_distance(0, 1) == pytest.approx(0.959, abs=0.005)  # GFN2-xTB
    assert broken.info["status"] == "input_error"
    linear = np.array([[0, 0, -1.142], [0, 0, 0], [0, 0, 1.142]])
    assert rmsd(carbon_dioxide.positions, linear) < 0.01


def test_relax_smiles_says_what_is_wrong_with_the_call() -> None:
    from prerelax import relax_smiles

    with pytest.raises(ValueError, match="no-such-model"):
        relax_smiles(["O"], model="no-such-model")
    with pytest.raises(ValueError, match=r"takes a list of SMILES: write \['CCO'\]"):
        relax_smiles("CCO")


def test_diffusion_relaxation_names_a_wrong_option() -> None:
    from ase.build import molecule

    from prerelax import DiffusionRelaxation

    for options, message in (
        ({"sampler": "eddm"}, "sampler must be edm, few, .*did you mean edm"),
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"sed": 1}, "unknown key sed; did you mean seed"),
    ):
        with pytest.raises(ValueError, match=message):
            DiffusionRelaxation(molecule("H2O"), **options)


def test_relax_smiles_takes_molecules_of_rdkit_and_gives_energies() -> None:
    from rdkit import Chem
    from rdkit.Chem import AllChem

    from prerelax import relax_smiles

    drawn = Chem.MolFromSmiles("N[C@@H](C)F")
    placed = Chem.AddHs(Chem.MolFromSmiles("CO"))
    AllChem.EmbedMolecule(placed, randomSeed=3)
    alanine, text, methanol = relax_smiles([drawn, "O", placed], model=None, convergence="loose")
    assert alanine.info["smiles"].startswith("[N:1]") and alanine.numbers.tolist()[:4] == [7, 6, 6, 9]
    assert "the geometry is the one given" not in alanine.info["message"]
    assert alanine.info["stereo_unchanged"]
    assert text.get_potential_energy() == text.info["energy_ev"] < 0
    assert methanol.numbers.tolist() == [6, 8, 1, 1, 1, 1]
    assert "gradient_max" in methanol.info["settings"]


def test_relax_smiles_takes_what_a_target_takes() -> None:
    from prerelax import relax_smiles

    (water,) = relax_smiles(["O"], model="auto", level="HF/3-21G", only={"max_atoms": 3}, optimizer="bfgs")
    assert '"method": "HF"' in water.info["settings"] and '"basis": "3-21G"' in water.info["settings"]
    assert water.get_distance(0, 1) == pytest.approx(0.967, abs=0.003)  # HF/3-21G: 0.9666 Å (CCCBDB)
    with pytest.raises(ValueError, match=r"did you mean B3LYP\?"):
        relax_smiles(["O"], level="B3LPY/def2-SVP")
    with pytest.raises(ValueError, match="unknown key metod; did you mean method"):
        relax_smiles(["O"], metod="GFN1-xTB")


def test_a_campaign_gives_its_minima_as_a_frame(tmp_path: Path) -> None:
    from prerelax import Campaign
    from prerelax.campaign.sharding import Shard, write_shards
    from prerelax.records.record import Record
    from prerelax.records.shard import write_shard

    config = "campaign: c\nmolecules: m.csv\nstarts: {mmff94: {kind: forcefield}}\n"
    results = tmp_path / "results" / "c"
    (results / "relaxed" / "gfn2" / "mmff94").mkdir(parents=True)
    (results / "campaign.yaml").write_text(config)
    write_shards(results / "shards.csv", [Shard(0, 2)])
    water = Record(
        "water",
        np.array([8, 1, 1]),
        np.array([[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]]),
        "[O:1]([H:2])[H:3]",
        start="mmff94",
        target="gfn2",
        converged=True,
        energy_ev=-138.0,
        start_energy_ev=-138.0,
        input_columns={"batch": "7"},
    )
    bad = Record("bad", status="input_error", message="no", start="mmff94", target="gfn2")
    write_shard(results / "relaxed" / "gfn2" / "mmff94" / "0000.extxyz", [water, bad])
    campaign = Campaign(results)
    table = campaign.minima()
    assert table["id"].tolist() == ["water", "bad"] and table["batch"].tolist()[0] == "7"
    assert table["mol"][0].GetNumConformers() == 1 and table["mol"][1] is None
    assert table["atoms"][0].get_potential_energy() == -138.0
    assert "GFN2-xTB (tblite)" in repr(campaign)
    assert "<table" in campaign._repr_html_()
    with pytest.raises(ValueError, match="folder of results"):
        campaign.run()
