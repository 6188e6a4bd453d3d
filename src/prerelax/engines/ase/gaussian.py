"""Gaussian through its own input and log: `Force NoSymm`, and the table of forces in the log."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed

from prerelax.engines.ase.programs import OUTPUT, Gradient, ProgramCalculator, cut_short
from prerelax.molecules.program_inputs import filled_input

LOG = "molecule.log"
CHECKPOINT = "molecule.chk"
NORMAL_END = "Normal termination of Gaussian"
_SCF = re.compile(r"SCF Done:\s+E\(\S+\)\s*=\s*(-?\d+\.\d+(?:[DE][+-]?\d+)?)")
"""with an exponent where a semi-empirical energy is small"""
_NOT_MET = "Convergence criterion not met"
_OTHER_ENERGIES = re.compile(r"(?:EUMP2|E\(TD-HF/TD-DFT\)|E2?\(B2\w+\))\s*=\s*(-?\d+\.\d+(?:[DE][+-]?\d+)?)")
_FORCES = re.compile(r"Forces \(Hartrees/Bohr\)\s*\n.*\n -+\n((?:\s+\d+\s+\d+(?:\s+-?\d+\.\d+){3}\n)+) -+\n")


def gaussian_template(
    route: str, threads: int, memory_mb: int, link0: Mapping[str, str] | None = None
) -> str:
    """An input for energy and forces that leaves charge, multiplicity and geometry open."""
    first = {"nprocshared": str(threads), "mem": f"{memory_mb}MB", "chk": CHECKPOINT} | dict(link0 or {})
    lines = [f"%{key}={value}" for key, value in first.items()]
    return "\n".join(
        [
            *lines,
            f"#p {route} Force NoSymm",
            "",
            "{name}",
            "",
            "{charge} {multiplicity}",
            "{geometry}",
            "",
            "",
        ]
    )


def gaussian_forces(text: str, n_atoms: int) -> tuple[float, Gradient]:
    """Energy in Hartree and gradient [n_atoms, 3] in Hartree/bohr, the last of a log, in its input's axes.

    Raises CalculationFailed where the log does not hold them whole, and for correlated methods, whose energy
    is none of the SCF.
    """
    last_scf = text.split("SCF Done")[-2:]  # an earlier one may have been rescued, by SCF=XQC
    if "Convergence failure" in text or any(_NOT_MET in part for part in last_scf):
        raise CalculationFailed("the SCF did not converge")
    if NORMAL_END not in text:
        raise cut_short("Gaussian", f"without {NORMAL_END}")
    energies, tables = _SCF.findall(text), _FORCES.findall(text)
    if not energies or not tables:
        raise CalculationFailed("the log has no energy of an SCF, or no forces")
    if _OTHER_ENERGIES.search(text):
        raise CalculationFailed("the forces are of a correlated or excited state, whose energy is not read")
    rows = [line.split() for line in tables[-1].splitlines()]
    if len(rows) != n_atoms:
        raise CalculationFailed(f"the log has forces on {len(rows)} atoms, not on {n_atoms}")
    return float(energies[-1].replace("D", "E")), -np.array([row[2:] for row in rows], dtype=float)


class Gaussian(ProgramCalculator):
    """Gaussian 09 and 16. The last geometry's orbitals (molecule.chk) are the next guess."""

    fresh: ClassVar[tuple[str, ...]] = (OUTPUT, LOG)

    def __init__(
        self,
        command: Sequence[str],
        route: str,
        charge: int = 0,
        multiplicity: int = 1,
        threads: int = 1,
        memory_mb: int = 4000,
    ) -> None:
        super().__init__(command, charge, multiplicity)
        self.route = route
        self.means = threads, memory_mb

    def write(self, atoms: Atoms) -> list[str]:
        route = f"{self.route} Guess=Read" if Path(CHECKPOINT).exists() else self.route
        template = gaussian_template(route, *self.means)
        text = filled_input(template, atoms.numbers, atoms.positions, self.charge, self.multiplicity)
        Path("molecule.gjf").write_text(text)
        return ["molecule.gjf"]

    def run(self, arguments: Sequence[str]) -> None:
        """As every program; what the log says of the failure goes before an exit status."""
        try:
            super().run(arguments)
        except CalculationFailed:
            Path(CHECKPOINT).unlink(missing_ok=True)
            if "Convergence failure" in self._log():
                raise CalculationFailed("the SCF did not converge") from None
            raise

    def read(self, atoms: Atoms) -> tuple[float, Gradient]:
        return gaussian_forces(self._log(), len(atoms))

    def _log(self) -> str:
        """What it wrote into its log, or to standard output where it was wrapped so."""
        path = Path(LOG) if Path(LOG).exists() else Path(OUTPUT)
        return path.read_text(errors="replace")
