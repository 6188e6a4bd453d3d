"""An engine whose Boltzmann distribution is known: bent water as springs in Cartesian coordinates.

The energy is ½ xᵀ H x with x the displacement from MINIMUM and H of rank 3N - 6: the 3N - 6 = 3 modes are
normal with variance kT / curvature at any temperature, and rigid motions are free.
"""

import numpy as np

from prerelax.engines import Engine, EngineCalculator, EngineError, Level
from prerelax.relaxation.preconditioned import internal_space

NUMBERS = np.array([8, 1, 1])
MINIMUM = np.array([[0.0, 0.0, 0.119], [0.0, 0.763, -0.477], [0.0, -0.763, -0.477]])
CURVATURES_EV_ANG2 = np.array([8.0, 45.0, 55.0])
MODES = np.linalg.qr(internal_space(MINIMUM) @ np.random.default_rng(0).normal(size=(3, 3)))[0]
"""[9, 3] orthonormal"""
N_MODES = 3


class HarmonicEngine(Engine):
    name = "springs"

    def validate(self, level: Level) -> None:
        if level.method not in ("springs", "brittle"):
            raise ValueError(f"the harmonic engine has no method '{level.method}'")

    def settings(self, level: Level) -> dict[str, object]:
        return {}

    def calculator(self, level: Level, charge: int, multiplicity: int, threads: int) -> EngineCalculator:
        return Springs(level.method, charge, multiplicity)


def amplitudes(positions: np.ndarray) -> np.ndarray:
    """Å along each mode, [3]."""
    return MODES.T @ (positions - MINIMUM).ravel()


def energy_ev(positions: np.ndarray) -> float:
    return float(0.5 * CURVATURES_EV_ANG2 @ amplitudes(positions) ** 2)


class Springs(EngineCalculator):
    def __init__(self, method: str, charge: int, multiplicity: int) -> None:
        super().__init__("springs", charge, multiplicity)
        self.method = method

    def energy_and_forces(self, atoms, changes):
        energy = energy_ev(atoms.positions)
        if self.method == "brittle" and energy > 0.001:
            raise EngineError("scf_failed", "the springs are too long")
        gradient = MODES @ (CURVATURES_EV_ANG2 * amplitudes(atoms.positions))
        return energy, -gradient.reshape(-1, 3)
