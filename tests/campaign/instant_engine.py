"""An engine of no chemistry and no cost: every atom on a spring to a place near its start.

An engine module as `prerelax.engines` asks for; molecules with N fail where the level's method is `fails`.
"""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from prerelax.engines import EngineError

NITROGEN = 7


def validate(level):
    if level.method not in ("spring", "fails"):
        raise ValueError(f"the instant engine does not {level.method}")


def settings(level):
    return {}


def calculator(level, charge, multiplicity, threads):
    return Spring(fails=level.method == "fails")


class Spring(Calculator):
    implemented_properties = ("energy", "forces")

    def __init__(self, fails):
        super().__init__()
        self.fails = fails
        self.rest = None

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.fails and NITROGEN in atoms.numbers:
            raise EngineError("scf_failed", "no springs for nitrogen")
        if self.rest is None:
            self.rest = atoms.positions + 0.02
        forces = 5.0 * (self.rest - atoms.positions)
        self.results = {"energy": float(np.sum(forces**2) / 10), "forces": forces}
