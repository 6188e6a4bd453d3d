"""An engine of no chemistry and no cost: every atom on a spring to a place near its start.

Molecules with N fail where the level's method is `fails`.
"""

import numpy as np

from prerelax.engines import Engine, EngineCalculator, EngineError

NITROGEN = 7


class Instant(Engine):
    name = "instant"

    def validate(self, level):
        if level.method not in ("spring", "fails"):
            raise ValueError(f"the instant engine does not {level.method}")

    def settings(self, level):
        return {}

    def calculator(self, level, charge, multiplicity, threads):
        return Spring(charge, multiplicity, fails=level.method == "fails")


class Spring(EngineCalculator):
    def __init__(self, charge, multiplicity, fails):
        super().__init__("springs", charge, multiplicity)
        self.fails = fails
        self.rest = None

    def energy_and_forces(self, atoms, changes):
        if self.fails and NITROGEN in atoms.numbers:
            raise EngineError("scf_failed", "no springs for nitrogen")
        if self.rest is None:
            self.rest = atoms.positions + 0.02
        forces = 5.0 * (self.rest - atoms.positions)
        return float(np.sum(forces**2) / 10), forces
