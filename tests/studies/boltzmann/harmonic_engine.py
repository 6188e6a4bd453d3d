"""An engine whose Boltzmann distribution is known: bent water as springs in Cartesian coordinates.

The energy is ½ xᵀ H x with x the displacement from MINIMUM and H of rank 3N - 6: the 3N - 6 = 3 modes are
normal with variance kT / curvature at any temperature, and rigid motions are free.
"""

from typing import ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from prerelax.engines import EngineError, Level
from prerelax.relaxation.preconditioned import internal_space

NUMBERS = np.array([8, 1, 1])
MINIMUM = np.array([[0.0, 0.0, 0.119], [0.0, 0.763, -0.477], [0.0, -0.763, -0.477]])
CURVATURES_EV_ANG2 = np.array([8.0, 45.0, 55.0])
MODES = np.linalg.qr(internal_space(MINIMUM) @ np.random.default_rng(0).normal(size=(3, 3)))[0]
"""[9, 3] orthonormal"""
N_MODES = 3


def validate(level: Level) -> None:
    if level.method not in ("springs", "brittle"):
        raise ValueError(f"the harmonic engine has no method '{level.method}'")


def settings(level: Level) -> dict[str, str]:
    return {}


def calculator(level: Level, charge: int, multiplicity: int, threads: int) -> Calculator:
    return Springs(level.method)


def amplitudes(positions: np.ndarray) -> np.ndarray:
    """Å along each mode, [3]."""
    return MODES.T @ (positions - MINIMUM).ravel()


def energy_ev(positions: np.ndarray) -> float:
    return float(0.5 * CURVATURES_EV_ANG2 @ amplitudes(positions) ** 2)


class Springs(Calculator):
    implemented_properties: ClassVar[list[str]] = ["energy"]

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        energy = energy_ev(atoms.positions)
        if self.method == "brittle" and energy > 0.001:
            raise EngineError("scf_failed", "the springs are too long")
        self.results = {"energy": energy}
