"""The engine Psi4: what it accepts, what its numbers depend on, and its calculator."""

import dataclasses
import functools
import importlib.metadata
import re

from prerelax.engines.calculator import EngineCalculator
from prerelax.engines.engine import Engine
from prerelax.engines.level import Level, versions
from prerelax.engines.psi4.calculator import Psi4
from prerelax.engines.psi4.program import Psi4Error, Psi4Process, find_psi4
from prerelax.engines.psi4.settings import Psi4Settings, setup
from prerelax.engines.pyscf.dispersion import check_parameters, check_version
from prerelax.engines.pyscf.names import COMMON_BASES, validate_basis
from prerelax.errors import nearest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+*(),. _-]{0,60}")
WITH_DISPERSION = re.compile(r"-(d3|d4|nl)", re.IGNORECASE)


class Psi4Engine(Engine):
    """Hartree-Fock and functionals with analytic gradients; bases that Psi4 lacks are PySCF's."""

    name = "psi4"

    def validate(self, level: Level) -> None:
        """As of every engine. Where the program is not installed only the words are looked at: a campaign may
        be planned elsewhere.
        """
        _check_words(level)
        if find_psi4() is not None:
            _ask_psi4(level)
        if level.dispersion:
            check_parameters(level.method, level.dispersion)

    def settings(self, level: Level) -> dict[str, object]:
        _check_words(level)
        answer = _ask_psi4(level)
        found = {"psi4": answer["version"]}
        if answer["basis_from"] == "pyscf":
            found |= versions("pyscf")
        if level.dispersion:
            found |= versions("pyscf-dispersion")
        return {
            "density_fitting": level.density_fitting,
            "basis_from": answer["basis_from"],
            **dataclasses.asdict(Psi4Settings()),
            "versions": found,
        }

    def calculator(self, level: Level, charge: int, multiplicity: int, threads: int) -> EngineCalculator:
        basis_from = _ask_psi4(level)["basis_from"]
        return Psi4(level, charge, multiplicity, threads, Psi4Settings(), basis_from == "pyscf")


def _check_words(level: Level) -> None:
    if level.method.lower() == "qm9":
        raise ValueError(
            "the level qm9 mixes six Cartesian d with seven spherical f functions, which Psi4 cannot; "
            "use the engine pyscf"
        )
    if level.method.lower().startswith("gfn"):
        raise ValueError(f"{level.method} is a method of the engine tblite, not of psi4")
    if not NAME.fullmatch(level.method):
        raise ValueError(f"'{level.method}' is no name of a method")
    if WITH_DISPERSION.search(level.method):
        raise ValueError(
            f"{level.method} names its dispersion; give the functional alone and dispersion d3bj or d4"
        )
    if not level.basis:
        raise ValueError("the engine psi4 needs a basis, e.g. 'def2-TZVP'")
    if not NAME.fullmatch(level.basis):
        raise ValueError(f"'{level.basis}' is no name of a basis")
    if level.dispersion:
        check_version(level.dispersion)


def _ask_psi4(level: Level) -> dict[str, str]:
    """Psi4's version, and which program's library the basis is from."""
    return _answer(level, find_psi4())


@functools.cache
def _answer(level: Level, executable: str | None) -> dict[str, str]:
    """What this executable says; a second, once in a process."""
    try:
        with Psi4Process(setup(level, Psi4Settings()), threads=1) as process:
            answer = process.ask({"kind": "check"})
    except Psi4Error as failure:
        raise ValueError(f"Psi4 cannot compute gradients with {level.method}: {failure.message}") from failure
    if answer["basis_known"]:
        return {"version": process.version, "basis_from": "psi4"}
    _check_basis_of_pyscf(level.basis or "")
    return {"version": process.version, "basis_from": "pyscf"}


def _check_basis_of_pyscf(basis: str) -> None:
    """Raise ValueError where PySCF, too, knows no such basis. PySCF is not installed with every package."""
    try:
        importlib.metadata.version("pyscf")
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(f"Psi4 knows no basis '{basis}'") from None
    try:
        validate_basis(basis)
    except ValueError:
        hint = nearest(basis, COMMON_BASES, list_known=False)
        raise ValueError(f"neither Psi4 nor PySCF knows a basis '{basis}'{hint}") from None
