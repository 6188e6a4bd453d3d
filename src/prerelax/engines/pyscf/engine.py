"""The engine PySCF: what it accepts, what its numbers depend on, and its calculator."""

import dataclasses

from prerelax.engines.calculator import EngineCalculator
from prerelax.engines.engine import Engine
from prerelax.engines.level import Level, versions
from prerelax.engines.pyscf.dispersion import check_parameters, check_version
from prerelax.engines.pyscf.names import QM9, functional_proper, validate_basis, validate_functional
from prerelax.engines.pyscf.settings import scf_settings
from prerelax.engines.solvents import PYSCF_MODELS, smd_name


class PyscfEngine(Engine):
    """Functional, basis, dispersion and solvent are whatever PySCF knows by name; or the level qm9."""

    name = "pyscf"
    solvent_models = PYSCF_MODELS

    def validate(self, level: Level) -> None:
        if level.method.lower() == QM9:
            if level.basis or level.dispersion or level.solvent:
                raise ValueError(
                    "the level qm9 fixes functional, basis and dispersion, in the gas phase; leave them out"
                )
            return
        validate_functional(level.method, level.dispersion)
        validate_basis(level.basis)
        if level.dispersion is not None:
            _validate_dispersion(level.method, level.dispersion)
        if level.solvent:
            smd_name(level.solvent)

    def settings(self, level: Level) -> dict[str, object]:
        packages = ("pyscf", "pyscf-dispersion") if level.dispersion else ("pyscf",)
        return {
            "density_fitting": level.density_fitting,
            **dataclasses.asdict(scf_settings(level)),
            "versions": versions(*packages),
        }

    def calculator(self, level: Level, charge: int, multiplicity: int, threads: int) -> EngineCalculator:
        from prerelax.engines.pyscf.scf import PySCF

        return PySCF(level, charge, multiplicity, threads, scf_settings(level))


def _validate_dispersion(method: str, version: str) -> None:
    check_version(version)
    if functional_proper(method).lower() != method.lower():
        raise ValueError(f"{method} names its dispersion already; leave out '{version}'")
    check_parameters(method, version.lower())
