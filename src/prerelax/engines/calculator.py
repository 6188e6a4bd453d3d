"""The frame of every engine's calculator: what is checked before, named when it fails, and kept after."""

import errno
from abc import abstractmethod
from collections.abc import Iterable
from tempfile import gettempdir
from typing import TYPE_CHECKING, ClassVar, TypedDict

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, Calculator, InputError, SCFError, all_changes
from numpy.typing import NDArray

from prerelax.engines.failures import EngineError, check_elements, check_molecule

if TYPE_CHECKING:
    from prerelax.molecules.status import Status

Forces = NDArray[np.float64]


class Results(TypedDict):
    """ASE's results, eV and eV/Å."""

    energy: float
    free_energy: float
    forces: Forces


class EngineCalculator(Calculator):
    """An ASE calculator of one molecule of fixed charge and multiplicity; failures are EngineErrors.

    An engine says how energy and forces are had (`energy_and_forces`) and, where it knows more than this
    frame, what its failures mean (`engine_error`) and how its program ends (`close`).
    """

    results: Results
    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces"]
    status_of_no_numbers: ClassVar["Status"] = "scf_failed"
    """of a geometry whose energy or forces are not finite"""

    def __init__(
        self, program: str, charge: int, multiplicity: int, elements: Iterable[int] | None = None
    ) -> None:
        """`program` names it in messages; `elements` are those it treats, None where it finds out itself."""
        super().__init__()
        self.program = program
        self.charge = charge
        self.multiplicity = multiplicity
        self.elements = None if elements is None else frozenset(elements)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Energy (eV) and forces (eV/Å) at the geometry of `atoms`. Raises EngineError."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        numbers = self.atoms.numbers
        check_molecule(numbers, self.atoms.positions, self.charge, self.multiplicity)
        if self.elements is not None:
            check_elements(numbers, set(numbers.tolist()) - self.elements, self.program)
        try:
            energy, forces = self.energy_and_forces(self.atoms, system_changes)
        except EngineError:
            raise
        except Exception as error:
            raise self.engine_error(error) from error
        if not (np.isfinite(energy) and np.all(np.isfinite(forces))):
            raise EngineError(
                self.status_of_no_numbers,
                f"{self.program} returned an energy or forces that are not numbers",
            )
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}

    @abstractmethod
    def energy_and_forces(self, atoms: Atoms, changes: list[str]) -> tuple[float, Forces]:
        """Energy in eV and forces [n_atoms, 3] in eV/Å; `changes` since the last geometry in ASE's words."""

    def engine_error(self, error: Exception) -> EngineError:
        """The row status and message of what went wrong."""
        words = " ".join(str(error).split())
        if isinstance(error, MemoryError):
            return EngineError("resource_error", f"{self.program} ran out of memory ({words})")
        if isinstance(error, np.linalg.LinAlgError):
            return EngineError("scf_failed", f"linear algebra failed at this geometry: {words}")
        if isinstance(error, CalculationFailed | InputError | SCFError):
            return EngineError("scf_failed", f"{self.program}: {words}")
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            words = f"{error.strerror} for temporary files; make room in {gettempdir()}, or set TMPDIR"
            return EngineError("unknown_error", f"{self.program}: {words}")
        return EngineError("unknown_error", f"{self.program}: {type(error).__name__}: {words}")

    def hessian(self, atoms: Atoms) -> Forces | None:
        """[3 n_atoms, 3 n_atoms] eV/Å² where the engine has one of its own, None elsewhere."""
        return None

    def close(self) -> None:
        """End what the engine keeps running; nothing by default."""
