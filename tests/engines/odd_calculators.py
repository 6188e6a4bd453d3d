"""Calculators of a user's own: Morse bonds between all atoms, and everything that can go wrong with one."""

import os
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from morse import morse

NITROGEN = 7


class Morse(Calculator):
    """As good as a potential of hydrogen is; charge and unpaired electrons cost energy."""

    implemented_properties: ClassVar = ["energy", "forces"]

    def __init__(self, charge=0, mult=1, behaviour="", **scales):
        super().__init__()
        self.charge, self.mult, self.behaviour = charge, mult, behaviour
        self.scales = scales.get("energy_scale", 1.0), scales.get("force_scale", 1.0)
        self.by_charge, self.by_spin = scales.get("by_charge", 12.0), scales.get("by_spin", 2.0)
        self.n_calls = 0

    def set_charge(self, charge):
        self.charge = charge

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.n_calls += 1
        charge = self.atoms.info.get("charge", self.charge)
        mult = self.atoms.info.get("spin", self.mult)
        energy, forces = morse(self.atoms.positions, charge, mult, self.by_charge, self.by_spin)
        if NITROGEN in self.atoms.numbers or self.behaviour == "drift":
            energy, forces = self.misbehave(energy, forces)
        self.results = {"energy": energy * self.scales[0], "forces": forces * self.scales[1]}

    def misbehave(self, energy, forces):
        match self.behaviour:
            case "drift":
                return energy + 0.0003 * self.n_calls, forces
            case "nan":
                return np.nan, forces
            case "flat":
                return energy, forces.ravel()
            case "raise":
                Path("program.out").write_text("iteration 1\nSCF NOT CONVERGED after 50 cycles\n")
                raise CalculationFailed("the program failed with exit status 1")
            case "hang later" if len(self.atoms) == 2:  # not in the trials, which ask for N2
                pass
            case "hang" | "hang later":
                subprocess.run(["sleep", "1000.125"], start_new_session=True)  # as some launchers do
            case "die":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "link":
                Path("basis").symlink_to(__file__)
                raise KeyboardInterrupt
            case "exit":
                raise SystemExit(3)
            case "print":
                print('{"energy": 0.0, "forces": []}', flush=True)
                os.system("echo the program says hello")
            case "flood":
                print(2_000_000 * "x", flush=True)
            case "chdir":
                os.chdir("/")
            case "litter" | "scratch":
                with Path("integrals.bin").open("wb") as file:
                    file.truncate(1_000_000_000)
                if self.behaviour == "scratch":
                    Path("program.out").write_text("killed\n")
                    raise CalculationFailed("no luck")
        return energy, forces


class Counting(Morse):
    """Refuses electrons that contradict its charge and multiplicity."""

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        if (atoms.numbers.sum() - self.charge - self.mult + 1) % 2:
            raise ValueError("electrons and multiplicity are not compatible")
        super().calculate(atoms, properties, system_changes)


class WithHessian(Morse):
    def get_hessian(self, atoms):
        return np.eye(3 * len(atoms)).reshape(3 * len(atoms), len(atoms), 3)


class Batched(Morse):
    """Energies are a batch's, as networks give them."""

    def __init__(self, n):
        super().__init__()
        self.n = n

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] = np.full(self.n, self.results["energy"])


def none():
    """What a factory without a `return` gives."""
