"""What real programs can turn into: GFN2-xTB that counts, crashes, hangs or is killed on some molecules.

The level's method says what happens to molecules with N.
"""

import os
import signal
import time
from pathlib import Path

from ase.calculators.calculator import all_changes

from prerelax.engines import Engine
from prerelax.engines.tblite import XTB

NITROGEN = 7


class OddEngine(Engine):
    name = "odd"

    def validate(self, level):
        if level.method not in ("count", "crash", "hang", "kill", "slow"):
            raise ValueError(f"odd engine does not {level.method}")

    def settings(self, level):
        return {}

    def calculator(self, level, charge, multiplicity, threads):
        return Odd(level.method, charge, multiplicity)


class Odd(XTB):
    def __init__(self, behaviour, charge, multiplicity):
        super().__init__("GFN2-xTB", charge, multiplicity)
        self.behaviour = behaviour
        self.begun = False

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        if not self.begun and "ODD_ENGINE_LOG" in os.environ:
            self.begun = True
            with Path(os.environ["ODD_ENGINE_LOG"]).open("a") as log:
                log.write(f"{atoms.get_chemical_formula()} {atoms.positions[0, 0]:.8f} {os.getpid()}\n")
        if self.behaviour == "slow":
            time.sleep(0.02)
        if NITROGEN in atoms.numbers and self.results:  # not before the second geometry
            if self.behaviour == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            if self.behaviour == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.behaviour == "hang":
                time.sleep(1000)
        super().calculate(atoms, properties, system_changes)
