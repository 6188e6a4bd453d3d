"""xTB through tblite. Everything that imports tblite runs in a process without torch."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from prerelax.engines import EngineError, Level, make_calculator

GFN2 = Level(engine="tblite", method="GFN2-xTB")


def energy_and_forces(level, atoms, charge=0, multiplicity=1):
    atoms = atoms.copy()
    atoms.calc = make_calculator(level, charge=charge, multiplicity=multiplicity)
    return atoms.get_potential_energy(), atoms.get_forces()


def tblite_itself(method, atoms, charge, multiplicity):
    from ase.units import Bohr, Hartree
    from tblite.interface import Calculator

    calculator = Calculator(method, atoms.numbers, atoms.positions / Bohr, charge, multiplicity - 1)
    calculator.set("verbosity", 0)
    result = calculator.singlepoint()
    return result["energy"] * Hartree, -result["gradient"] * Hartree / Bohr


@pytest.mark.parametrize(
    ("name", "charge", "multiplicity"),
    [("CH3OH", 0, 1), ("CH3", 0, 2), ("O2", 0, 3), ("H2O", 1, 2), ("NH3", -1, 2), ("H", 0, 2)],
)
@pytest.mark.parametrize("method", ["GFN2-xTB", "GFN1-xTB"])
def test_energy_and_forces_are_tblites_own(in_engine_process, method, name, charge, multiplicity):
    atoms = molecule(name)
    ours = in_engine_process(
        energy_and_forces, Level(engine="tblite", method=method), atoms, charge, multiplicity
    )
    theirs = in_engine_process(tblite_itself, method, atoms, charge, multiplicity)
    assert ours[0] == pytest.approx(theirs[0], abs=1e-6)
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-5)


def numerical_and_analytic():
    from ase.calculators.fd import calculate_numerical_forces

    atoms = molecule("CH3OH")
    atoms.rattle(0.03, seed=0)
    atoms.calc = make_calculator(GFN2)
    return atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-3)


def test_forces_are_the_energys_derivative(in_engine_process):
    analytic, numerical = in_engine_process(numerical_and_analytic)
    np.testing.assert_allclose(analytic, numerical, atol=2e-3)


def along_a_path():
    kept, fresh = make_calculator(GFN2), []
    atoms = molecule("CH3OH")
    reused = []
    for step in range(4):
        atoms.rattle(0.02, seed=step)
        reused.append(energy_of(atoms, kept))
        fresh.append(energy_of(atoms, make_calculator(GFN2)))
    return reused, fresh


def energy_of(atoms, calculator):
    calculator.calculate(atoms)
    return calculator.results["energy"]


def test_a_kept_wave_function_does_not_change_energies(in_engine_process):
    reused, fresh = in_engine_process(along_a_path)
    np.testing.assert_allclose(reused, fresh, atol=1e-5)


@pytest.mark.parametrize(
    ("atoms", "status"),
    [
        (Atoms("UF6", np.random.default_rng(0).normal(size=(7, 3)) * 3), "unsupported_element"),
        (Atoms("Fr"), "unsupported_element"),
        (Atoms("H2", [[0, 0, 0], [0, 0, 0]]), "input_error"),
        (Atoms("H2", [[0, 0, 0], [0, 0, np.inf]]), "input_error"),
        (Atoms(), "input_error"),
    ],
)
def test_failures_have_a_status(in_engine_process, atoms, status):
    electrons = int(atoms.numbers.sum())
    with pytest.raises(EngineError) as caught:
        in_engine_process(energy_and_forces, GFN2, atoms, 0, 1 + electrons % 2)
    assert caught.value.status == status
