"""What ORCA, Gaussian and xtb have in common as ASE calculators: an input, a command, a whole output."""

import subprocess
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from ase.units import Bohr, Hartree
from numpy.typing import NDArray

Gradient = NDArray[np.float64]
OUTPUT = "molecule.out"
GEOMETRY_TOLERANCE_BOHR = 1e-5
"""to which outputs repeat the coordinates"""


class ProgramCalculator(Calculator):
    """Runs a program in the current folder, without a shell, for every gradient.

    `command` is the program with its first arguments. Raises CalculationFailed with what the program's
    output says, also where it ends early.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]
    fresh: ClassVar[tuple[str, ...]] = (OUTPUT,)
    """files that a run writes anew: what an earlier one left is removed before"""

    def __init__(self, command: Sequence[str], charge: int = 0, multiplicity: int = 1) -> None:
        super().__init__()
        self.command = list(command)
        self.charge = charge
        self.multiplicity = multiplicity

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Energy in eV and forces in eV/Å."""
        super().calculate(atoms, properties, system_changes)
        self.run(self.write(self.atoms))
        energy_eh, gradient = self.read(self.atoms)
        self.results = {"energy": energy_eh * Hartree, "forces": -gradient * (Hartree / Bohr)}

    @abstractmethod
    def write(self, atoms: Atoms) -> list[str]:
        """Write the input; the arguments that the program is called with."""

    @abstractmethod
    def read(self, atoms: Atoms) -> tuple[float, Gradient]:
        """Energy in Hartree and gradient [n_atoms, 3] in Hartree/bohr. Raises CalculationFailed."""

    def run(self, arguments: Sequence[str]) -> None:
        """Run the program to its end; its output goes to OUTPUT."""
        for name in self.fresh:
            Path(name).unlink(missing_ok=True)
        with Path(OUTPUT).open("wb") as output:
            done = subprocess.run(
                [*self.command, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        if done.returncode:
            how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
            raise CalculationFailed(f"{self.command[0]} ended with {how}")


def cut_short(program: str, what: str) -> CalculationFailed:
    """The error of an output that lacks its end."""
    return CalculationFailed(
        f"the output of {program} is cut short, {what}: it was killed, or the disk is full"
    )


def engrad_file(path: Path, atoms: Atoms) -> tuple[float, Gradient]:
    """Energy and gradient of a `.engrad`, as ORCA and xtb write it, at the geometry of `atoms`.

    Raises CalculationFailed for one that is missing, cut short or of another geometry.
    """
    n = len(atoms)
    try:
        values = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
        numbers = [float(word) for line in values for word in line]
    except (OSError, ValueError):
        raise cut_short("the program", f"{path.name} is missing or damaged") from None
    if len(numbers) != 2 + 3 * n + 4 * n or int(numbers[0]) != n:
        raise cut_short("the program", f"{path.name} is not whole")
    places = np.array(numbers[2 + 3 * n :]).reshape(n, 4)[:, 1:]
    if np.abs(places - atoms.positions / Bohr).max() > GEOMETRY_TOLERANCE_BOHR:
        raise CalculationFailed(f"{path.name} is of another geometry")
    return numbers[1], np.array(numbers[2 : 2 + 3 * n]).reshape(n, 3)
