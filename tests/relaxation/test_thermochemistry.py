"""Enthalpy and Gibbs energy of the ideal gas at the end of a relaxation."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.units import J, _Nav, kB

from prerelax.engines import Level
from prerelax.relaxation.molecule import Relaxation, relax_molecule
from prerelax.relaxation.thermochemistry import symmetry_number, thermochemistry

EXPERIMENT_CM = np.array([1594.7, 3657.1, 3755.9])
"""fundamentals of water"""


def test_entropy_of_water_is_the_measured_one() -> None:
    """Standard entropy 188.84 J/mol/K (CODATA) for symmetry number 2."""
    water = molecule("H2O")
    found = thermochemistry(EXPERIMENT_CM, water, 0.0, 1)
    assert found is not None
    entropy = (found["enthalpy_298_ev"] - found["gibbs_298_ev"]) / 298.15
    assert entropy / J * _Nav == pytest.approx(188.84, abs=0.3)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("H2O", 2),
        ("NH3", 3),
        ("CH4", 12),
        ("C6H6", 12),
        ("C2H6", 6),
        ("C2H4", 4),
        ("CO2", 2),
        ("HCN", 1),
        ("C3H4_D2d", 4),
        ("CH3OH", 1),
        ("C60", 60),
        ("BF3", 6),
        ("trans-butane", 2),
        ("O", 1),
    ],
)
@pytest.mark.parametrize("noise_ang", [0.0, 0.01])
def test_symmetry_numbers_of_known_point_groups(name: str, number: int, noise_ang: float) -> None:
    atoms = molecule(name)
    noise = noise_ang * np.random.default_rng(0).uniform(-1, 1, (len(atoms), 3))
    turned = (atoms.positions + noise) @ np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    assert symmetry_number(atoms.numbers, turned) == number


def test_saddle_points_have_none() -> None:
    assert thermochemistry(np.array([-300.0, 1000.0, 3000.0]), molecule("H2O"), 0.0, 1) is None


@pytest.mark.parametrize("name", ["H2O", "CO2", "H2"])
def test_relaxed_at_the_target(name: str) -> None:
    """Enthalpy of an ideal gas: 4 kT, or 7/2 kT where linear, above the zero point; stiff vibrations rest."""
    level = Level(engine="tblite", method="GFN2-xTB")
    atoms: Atoms = molecule(name)
    relaxation = Relaxation(**level.model_dump(), optimizer="bfgs", check_minimum="target", fmax=0.01)
    relaxed = relax_molecule(atoms.numbers, atoms.positions, 0, 1, relaxation)
    found = relaxed.thermochemistry
    assert found is not None and relaxed.energy_ev is not None
    thermal = found["enthalpy_298_ev"] - relaxed.energy_ev - found["zero_point_ev"]
    assert thermal / (kB * 298.15) == pytest.approx(4.0 if name == "H2O" else 3.5, abs=0.4)
