"""An ASE calculator behind a pipe, as the calculator of one molecule."""

import contextlib
import shutil
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from prerelax.engines.ase.process import CalculatorProcess, Line, kept_process
from prerelax.engines.calculator import EngineCalculator, Forces
from prerelax.engines.failures import EngineError
from prerelax.engines.level import Electrons
from prerelax.engines.scratch import keep, scratch_folder

KEPT_STATUSES = ("scf_failed", "resource_error", "unknown_error", "timeout")


@dataclass(frozen=True)
class Recipe:
    """How a calculator is made and asked on this machine."""

    name: str
    setup: dict[str, object]
    """the first line of `server`"""
    electrons: Electrons
    elements: tuple[str, ...] | None
    python: str | None
    environment: dict[str, str]
    scratch: Path | None
    """where folders are made; None for the usual place"""
    limit_s: float
    """for one gradient"""


class AseCalculator(EngineCalculator):
    """Energy and forces of one molecule from a calculator in a process of its own.

    The process outlives the molecule and serves the next one. The molecule's scratch folder is removed by
    `close`, and kept where a gradient failed.
    """

    def __init__(self, recipe: Recipe, charge: int, multiplicity: int, threads: int) -> None:
        elements = None if recipe.elements is None else [atomic_numbers[each] for each in recipe.elements]
        super().__init__(recipe.name, charge, multiplicity, elements)
        self.recipe = recipe
        self.threads = threads
        self.limit_s = recipe.limit_s
        self._folder: Path | None = None
        self._removal: weakref.finalize[[Path, bool], AseCalculator] | None = None

    def energy_and_forces(self, atoms: Atoms, changes: list[str]) -> tuple[float, Forces]:
        answer = self._asked("gradient", atoms)
        return float(answer["energy"]), np.array(answer["forces"], dtype=float).reshape(-1, 3)

    def hessian(self, atoms: Atoms) -> NDArray[np.float64] | None:
        """As of every engine: the calculator's own, where it has a method `get_hessian`."""
        matrix = self._asked("hessian", atoms)["hessian"]
        return None if matrix is None else np.array(matrix, dtype=float)

    def close(self) -> None:
        """Remove the molecule's scratch folder."""
        if self._removal is not None:
            self._removal()
        self._folder = None

    def _asked(self, kind: str, atoms: Atoms) -> Line:
        self._check_electrons()
        if self._folder is None:
            self._folder = scratch_folder(_plain(self.recipe.name), self.recipe.scratch)
            self._removal = weakref.finalize(self, shutil.rmtree, self._folder, True)
        line = {
            "kind": kind,
            "numbers": atoms.numbers.tolist(),
            "positions": atoms.positions.tolist(),
            "charge": self.charge,
            "multiplicity": self.multiplicity,
            "folder": str(self._folder),
            "molecule": self._folder.name,
        }
        try:
            return self._process().ask(line, self.limit_s)
        except EngineError as error:
            raise self._with_folder(error) from None

    def _process(self) -> CalculatorProcess:
        recipe = self.recipe
        return kept_process(recipe.name, recipe.setup, recipe.python, recipe.environment, self.threads)

    def _check_electrons(self) -> None:
        told = self.recipe.electrons.told
        if (self.charge and "charge" not in told) or (self.multiplicity != 1 and "multiplicity" not in told):
            what = "neutral molecules" if self.multiplicity == 1 else "closed shells"
            raise EngineError(
                "input_error",
                f"{self.program} treats {what} only: nothing tells it of charge or multiplicity",
            )

    def _with_folder(self, error: EngineError) -> EngineError:
        """The error, saying where the molecule's files are kept."""
        folder = self._folder
        assert folder is not None
        with contextlib.suppress(OSError):
            if error.status in KEPT_STATUSES and any(folder.iterdir()):
                message = f"{error.message}; its files are in {keep(folder)}"
                error = EngineError(error.status, message, output=error.output)
        self.close()
        return error


def _plain(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())
