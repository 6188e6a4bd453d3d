"""The programs xtb and gxtb: GFN-FF, GFN-xTB and g-xTB, through the files that they write."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.units import Bohr, Hartree

from prerelax.engines.ase.programs import OUTPUT, Gradient, ProgramCalculator, cut_short, engrad_file
from prerelax.molecules.program_inputs import geometry_lines

FLAGS = {
    "gfn-ff": ("--gfnff",),
    "gfn2-xtb": ("--gfn", "2"),
    "gfn1-xtb": ("--gfn", "1"),
    "gfn0-xtb": ("--gfn", "0"),
}
"""Method -> arguments of xtb."""


def _write_xyz(atoms: Atoms) -> None:
    text = f"{len(atoms)}\n\n{geometry_lines(atoms.numbers, atoms.positions)}\n"
    Path("molecule.xyz").write_text(text)


class Xtb(ProgramCalculator):
    """Bonds of GFN-FF are those of the molecule's first geometry, which xtb keeps in gfnff_topo."""

    fresh: ClassVar[tuple[str, ...]] = (OUTPUT, "molecule.engrad", "hessian", "energy", "gradient")

    def __init__(self, command: Sequence[str], method: str, charge: int = 0, multiplicity: int = 1) -> None:
        super().__init__(command, charge, multiplicity)
        self.flags = FLAGS[method.lower()]

    def write(self, atoms: Atoms) -> list[str]:
        _write_xyz(atoms)
        unpaired = str(self.multiplicity - 1)
        return ["molecule.xyz", *self.flags, "--grad", "--chrg", str(self.charge), "--uhf", unpaired]

    def read(self, atoms: Atoms) -> tuple[float, Gradient]:
        return engrad_file(Path("molecule.engrad"), atoms)

    def get_hessian(self, atoms: Atoms) -> Gradient:
        """[3 n_atoms, 3 n_atoms] eV/Å², xtb's own finite differences in one run."""
        self.run([word if word != "--grad" else "--hess" for word in self.write(atoms)])
        try:
            text = Path("hessian").read_text()
            values = np.array(text.replace("$hessian", "").split(), dtype=float)
            matrix = values.reshape(3 * len(atoms), 3 * len(atoms))
        except (OSError, ValueError):
            raise cut_short("xtb", "the file hessian is missing or not whole") from None
        symmetric: Gradient = (matrix + matrix.T) / 2 * (Hartree / Bohr**2)
        return symmetric


class Gxtb(ProgramCalculator):
    """The development version's program (1.1), whose gradients are numerical: 6 n_atoms energies each."""

    fresh: ClassVar[tuple[str, ...]] = (OUTPUT, "energy", "gradient")

    def write(self, atoms: Atoms) -> list[str]:
        _write_xyz(atoms)
        Path(".CHRG").write_text(f"{self.charge}\n")
        Path(".UHF").write_text(f"{self.multiplicity - 1}\n")
        return ["-c", "molecule.xyz", "-grad"]

    def read(self, atoms: Atoms) -> tuple[float, Gradient]:
        return turbomole_gradient(Path("gradient"), atoms)


def turbomole_gradient(path: Path, atoms: Atoms) -> tuple[float, Gradient]:
    """Energy in Hartree and gradient in Hartree/bohr of Turbomole's file `gradient`, its last cycle.

    Raises CalculationFailed for one that is missing, cut short or of another geometry.
    """
    n = len(atoms)
    try:
        lines = path.read_text().replace("D", "E").split("\n")
        begin = max(i for i, line in enumerate(lines) if "cycle" in line)
        energy = float(lines[begin].split("energy =")[1].split()[0])
        places = np.array([line.split()[:3] for line in lines[begin + 1 : begin + 1 + n]], dtype=float)
        slopes = np.array([line.split() for line in lines[begin + 1 + n : begin + 1 + 2 * n]], dtype=float)
    except (OSError, ValueError, IndexError):
        raise cut_short("the program", f"the file {path.name} is missing or not whole") from None
    if slopes.shape != (n, 3) or not any(
        line.startswith("$end") or line.startswith("$End") for line in lines
    ):
        raise cut_short("the program", f"the file {path.name} is not whole")
    if np.abs(places - atoms.positions / Bohr).max() > 1e-4:
        raise CalculationFailed(f"the file {path.name} is of another geometry")
    return energy, slopes
