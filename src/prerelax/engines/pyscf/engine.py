"""The engine PySCF: what it accepts, what its numbers depend on, and its calculator."""

import dataclasses
from typing import Any

from ase.calculators.calculator import Calculator

from prerelax.engines.level import Level, versions
from prerelax.engines.pyscf.names import QM9, functional_proper, validate_basis, validate_functional
from prerelax.engines.pyscf.settings import scf_settings
from prerelax.engines.solvents import smd_name
from prerelax.errors import nearest

DISPERSIONS = ("d3bj", "d3zero", "d3bjm", "d3zerom", "d3op", "d4")


def validate(level: Level) -> None:
    """Raise ValueError with one sentence where functional, basis or dispersion are unknown to PySCF."""
    if level.method.lower() == QM9:
        if level.basis or level.dispersion or level.solvent:
            raise ValueError(
                "the level qm9 fixes functional, basis and dispersion, in the gas phase; leave them out"
            )
        return
    validate_functional(level.method)
    validate_basis(level.basis)
    _validate_dispersion(level)
    if level.solvent:
        smd_name(level.solvent)


def settings(level: Level) -> dict[str, Any]:
    """What the numbers depend on beside the level's own words."""
    packages = ("pyscf", "pyscf-dispersion") if level.dispersion else ("pyscf",)
    return {
        "density_fitting": level.density_fitting,
        **dataclasses.asdict(scf_settings(level)),
        "versions": versions(*packages),
    }


def calculator(level: Level, charge: int, multiplicity: int, threads: int) -> Calculator:
    """PySCF as an ASE calculator; see `scf.PySCF`."""
    from prerelax.engines.pyscf.scf import PySCF

    return PySCF(level, charge, multiplicity, threads, scf_settings(level))


def _validate_dispersion(level: Level) -> None:
    if level.dispersion is None:
        return
    version = level.dispersion.lower()
    if version not in DISPERSIONS:
        raise ValueError(f"unknown dispersion '{level.dispersion}'{nearest(version, DISPERSIONS)}")
    if functional_proper(level.method).lower() != level.method.lower():
        raise ValueError(f"{level.method} names its dispersion already; leave out '{level.dispersion}'")
    from prerelax.engines.dispersion import check_parameters

    check_parameters(level.method, version)
