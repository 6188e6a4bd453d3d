"""ORCA through its own input and output: `! ENGRAD`, and the .engrad file that it writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from ase import Atoms
from ase.calculators.calculator import CalculationFailed

from prerelax.engines.ase.programs import OUTPUT, Gradient, ProgramCalculator, cut_short, engrad_file
from prerelax.molecules.program_inputs import filled_input

NORMAL_END = "ORCA TERMINATED NORMALLY"
NOT_CONVERGED = ("SCF NOT CONVERGED", "NOT FULLY CONVERGED", "error termination in SCF")
FUNCTIONALS = {"b3lyp": "B3LYP/G"}
"""ORCA's B3LYP has VWN5, everybody else's, and its own B3LYP/G, the parametrization of VWN to the RPA."""


def orca_template(words: str, blocks: Mapping[str, str], threads: int, memory_mb: int) -> str:
    """An input for energy and gradient that leaves charge, multiplicity and geometry open.

    `words` are those of the simple input, `blocks` the insides of `%` blocks.
    """
    parallel = {"pal": f"nprocs {threads}"} if threads > 1 else {}
    lines = [f"%{name} {inside} end" for name, inside in (parallel | dict(blocks)).items()]
    maxcore = f"%maxcore {max(1, int(0.75 * memory_mb / threads))}"
    return "\n".join(
        [f"! {words} ENGRAD", maxcore, *lines, "* xyz {charge} {multiplicity}", "{geometry}", "*\n"]
    )


class Orca(ProgramCalculator):
    """ORCA 5 and 6. The last geometry's orbitals (molecule.gbw) are the next guess."""

    fresh: ClassVar[tuple[str, ...]] = (OUTPUT, "molecule.engrad")

    def __init__(
        self,
        command: Sequence[str],
        words: str,
        blocks: Mapping[str, str] | None = None,
        charge: int = 0,
        multiplicity: int = 1,
        threads: int = 1,
        memory_mb: int = 4000,
    ) -> None:
        super().__init__(command, charge, multiplicity)
        self.template = orca_template(words, blocks or {}, threads, memory_mb)

    def write(self, atoms: Atoms) -> list[str]:
        text = filled_input(self.template, atoms.numbers, atoms.positions, self.charge, self.multiplicity)
        Path("molecule.inp").write_text(text)
        return ["molecule.inp"]

    def run(self, arguments: Sequence[str]) -> None:
        """As every program; an SCF that did not converge is named before an exit status."""
        try:
            super().run(arguments)
        except CalculationFailed:
            self._check_converged()
            raise

    def read(self, atoms: Atoms) -> tuple[float, Gradient]:
        self._check_converged()
        if NORMAL_END not in Path(OUTPUT).read_text(errors="replace"):
            raise cut_short("ORCA", f"without {NORMAL_END}")
        return engrad_file(Path("molecule.engrad"), atoms)

    def _check_converged(self) -> None:
        text = Path(OUTPUT).read_text(errors="replace")
        if any(words in text for words in NOT_CONVERGED):
            raise CalculationFailed("the SCF did not converge")
