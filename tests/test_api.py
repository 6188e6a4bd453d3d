"""The two lines of the README, run."""

import subprocess
import sys

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
