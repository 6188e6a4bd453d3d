"""Implicit solvents: their forces, their names, and what they do to a molecule's energy."""

import json

import numpy as np
import pytest
from ase.build import molecule
from ase.units import Bohr, Hartree, kcal, mol

from prerelax.campaign.config import load_campaign
from prerelax.campaign.handing_on import at_level
from prerelax.campaign.section import ConfigError
from prerelax.engines import Level, level_settings, make_calculator, validate_level
from prerelax.engines.pyscf.settings import ScfSettings
from prerelax.engines.solvents import TBLITE_NAMES, smd_name, tblite_name

TIGHT = ScfSettings(grid_level=3, conv_tol_eh=1e-10, conv_tol_gradient=1e-6)


def calculator(level, multiplicity=1):
    if level.engine != "pyscf":
        return make_calculator(level, multiplicity=multiplicity)
    from prerelax.engines.pyscf.scf import PySCF

    return PySCF(level, 0, multiplicity, 1, TIGHT)


def analytic_and_numerical(level, name, multiplicity, components, step_ang):
    """Forces in eV/Å of some (atom, axis) components."""
    atoms = molecule(name)
    atoms.rattle(0.05, seed=1)
    calculation = calculator(level, multiplicity)
    calculation.calculate(atoms)
    analytic = [calculation.results["forces"][component] for component in components]
    numerical = []
    for component in components:
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[component] += sign * step_ang
            calculation.calculate(moved)
            ends.append(calculation.results["energy"])
        numerical.append((ends[1] - ends[0]) / (2 * step_ang))
    return np.array(analytic), np.array(numerical)


@pytest.mark.parametrize("method", ["GFN2-xTB", "GFN1-xTB"])
@pytest.mark.parametrize(("solvent", "model"), [("water", None), ("dmso", "gbsa"), ("toluene", "c-pcm")])
def test_xtb_forces_are_the_energys_derivative(in_engine_process, method, solvent, model):
    level = Level(engine="tblite", method=method, solvent=solvent, solvent_model=model)
    components = [(0, 0), (1, 1), (3, 2)]
    analytic, numerical = in_engine_process(analytic_and_numerical, level, "CH3OH", 1, components, 2e-3)
    np.testing.assert_allclose(analytic, numerical, atol=2e-3)


@pytest.mark.parametrize(
    ("method", "solvent", "model", "name", "multiplicity"),
    [
        ("HF", "water", "smd", "H2O", 1),
        pytest.param("HF", "dmso", "ief-pcm", "H2O", 1, marks=pytest.mark.slow),
        pytest.param("PBE0", "toluene", "c-pcm", "H2O", 1, marks=pytest.mark.slow),
        pytest.param("B3LYP", "water", "smd", "NH2", 2, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("density_fitting", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_dft_forces_are_the_energys_derivative(
    in_engine_process, method, solvent, model, name, multiplicity, density_fitting
):
    level = Level(
        engine="pyscf",
        method=method,
        basis="6-31G*",
        density_fitting=density_fitting,
        solvent=solvent,
        solvent_model=model,
    )
    analytic, numerical = in_engine_process(
        analytic_and_numerical, level, name, multiplicity, [(1, 2)], 1e-3 * Bohr
    )
    # Functionals' energies feel the grid move with the atoms (6e-5 a.u. here), which their forces leave out.
    within = 1e-5 if method == "HF" else 1e-4
    np.testing.assert_allclose(analytic, numerical, atol=within * Hartree / Bohr)


def solvation_energy(level, name):
    """In kcal/mol at the gas-phase geometry."""
    atoms = molecule(name)
    energies = []
    for solvent in (None, "water"):
        calculation = make_calculator(
            Level(engine=level.engine, method=level.method, basis=level.basis, solvent=solvent)
        )
        calculation.calculate(atoms)
        energies.append(calculation.results["energy"])
    return (energies[1] - energies[0]) / (kcal / mol)


@pytest.mark.parametrize(
    "level",
    [
        Level(engine="tblite", method="GFN2-xTB"),
        pytest.param(Level(engine="pyscf", method="HF", basis="6-31G*"), marks=pytest.mark.slow),
    ],
)
def test_water_dissolves_in_water_and_methane_does_not(in_engine_process, level):
    """Measured free energies of hydration: -6.3 and 2.0 kcal/mol; ALPB has -9.1 and 0.2, SMD -9.4 and 2.3."""
    assert in_engine_process(solvation_energy, level, "H2O") == pytest.approx(-6.3, abs=3.5)
    assert in_engine_process(solvation_energy, level, "CH4") == pytest.approx(2.0, abs=2.0)


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (
            Level(engine="tblite", method="GFN2-xTB", solvent="watr"),
            "tblite has no solvent 'watr'; did you mean water",
        ),
        (
            Level(engine="pyscf", method="HF", basis="6-31G*", solvent="etanol"),
            "no solvent 'etanol'; did you mean ethanol",
        ),
        (
            Level(engine="tblite", method="GFN1-xTB", solvent="ethanol", solvent_model="gbsa"),
            "no gbsa parameters of ethanol",
        ),
        (
            Level(engine="tblite", method="GFN2-xTB", solvent="water", solvent_model="smd"),
            "known are alpb, gbsa, c-pcm",
        ),
        (
            Level(engine="pyscf", method="HF", basis="6-31G*", solvent="water", solvent_model="sdm"),
            "did you mean smd",
        ),
        (Level(engine="pyscf", method="HF", basis="6-31G*", solvent_model="smd"), "needs a solvent"),
        (Level(engine="pyscf", method="qm9", solvent="water"), "gas phase"),
        (Level(engine="psi4", method="HF", basis="6-31G*", solvent="water"), "psi4 has no implicit solvent"),
    ],
)
def test_wrong_solvents_are_one_clear_sentence(in_engine_process, level, words):
    with pytest.raises(ValueError, match=words):
        in_engine_process(validate_level, level)


def names_not_understood():
    """Of all our names, those that SMD's table lacks; tblite has to know every one."""
    missing = []
    for pair in TBLITE_NAMES.items():
        for name in pair:
            validate_level(Level(engine="tblite", method="GFN2-xTB", solvent=name))
            try:
                smd_name(name.upper())
            except ValueError:
                missing.append(name)
    return missing


def test_one_name_serves_both_engines(in_engine_process):
    assert set(in_engine_process(names_not_understood)) == {
        "furan",
        "furane",
        "phenol",
        "wet 1-octanol",
        "woctanol",
    }
    assert tblite_name("Dimethylsulfoxide") == tblite_name("DMSO") == "dmso"


def test_the_gas_phases_settings_have_no_word_of_solvents():
    """So that journals of gas-phase relaxations stay valid."""
    gas = level_settings(Level(engine="tblite", method="GFN2-xTB"))
    assert not any("solvent" in key for key in gas)
    water = level_settings(Level(engine="tblite", method="GFN2-xTB", solvent="Water"))
    assert water == gas | {"solvent": "water", "solvent_model": "alpb"}


def test_a_campaign_may_be_wet():
    target = {"engine": "tblite", "method": "GFN2-xTB", "solvent": "water", "solvent_model": "gbsa"}
    campaign = {"campaign": "c", "molecules": "m.csv", "targets": {"wet": target}}
    assert json.loads(at_level(load_campaign(campaign).targets["wet"])) == target
    with pytest.raises(ConfigError, match=r"targets\.wet: tblite has no solvent 'wine'"):
        load_campaign(campaign | {"targets": {"wet": target | {"solvent": "wine"}}})
