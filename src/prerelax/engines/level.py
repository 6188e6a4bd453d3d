"""What a level of theory is."""

import importlib.metadata
from dataclasses import dataclass

TIGHT_FMAX_EV_ANG = 0.01
"""relaxations that go below this ask for a tight level"""


@dataclass(frozen=True)
class Level:
    """Method, basis and dispersion, and the engine that evaluates them.

    `method` is a functional, `hf`, an xTB Hamiltonian, or `qm9`, the data set's own level. `dispersion` is
    `d3bj`, `d3zero`, `d4`, ...; None means none beyond what the method itself contains.
    """

    engine: str
    method: str
    basis: str | None = None
    dispersion: str | None = None
    density_fitting: bool = True
    """Coulomb and exchange by density fitting, where the engine has the choice"""
    solvent: str | None = None
    """an implicit solvent by name, e.g. water; None is the gas phase"""
    solvent_model: str | None = None
    """smd, alpb, ...; None is the engine's default (`solvents.MODELS`)"""
    tight: bool = False
    """forces good enough to converge below `TIGHT_FMAX_EV_ANG`, where the engine has the choice"""

    def __str__(self) -> str:
        dispersion = f"-{self.dispersion.upper()}" if self.dispersion else ""
        basis = f"/{self.basis}" if self.basis else ""
        solvent = f" in {self.solvent}" if self.solvent else ""
        return f"{self.method}{dispersion}{basis}{solvent} ({self.engine})"


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of the packages behind a number, found without importing them."""
    return {package: importlib.metadata.version(package) for package in packages}
