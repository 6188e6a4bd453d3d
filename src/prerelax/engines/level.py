"""What a level of theory is."""

import importlib.metadata
from typing import Annotated, Literal, get_args

from pydantic import Field, JsonValue, WithJsonSchema

from prerelax.settings import Settings

EngineChoice = Literal["tblite", "pyscf", "psi4", "gpu4pyscf", "dft", "mlff", "ase"]
Dispersion = Literal["d3bj", "d4"]

TIGHT_FMAX_EV_ANG = 0.01
"""relaxations that go below this ask for a tight level"""


EngineName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(get_args(EngineChoice))})]
DispersionName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(get_args(Dispersion))})]


Told = Literal["charge", "multiplicity", "unpaired"]
"""What a calculator may be told of a molecule's electrons; unpaired is the multiplicity less one."""


class Electrons(Settings):
    """How charge and multiplicity reach an ASE calculator; one that is told none treats neutral singlets."""

    keywords: dict[Told, str] | None = Field(
        None, description="Keywords of its constructor; `dft.mult` is a key within the keyword dft"
    )
    info: dict[Told, str] | None = Field(None, description="Keys of the `info` of the Atoms")
    methods: dict[Told, str] | None = Field(None, description="Its methods that take one number")
    moments: bool = Field(False, description="The Atoms' initial magnetic moments sum up to the unpaired")

    @property
    def told(self) -> set[str]:
        """What of `charge` and `multiplicity` reaches the calculator."""
        ways = (self.keywords, self.info, self.methods)
        words: set[str] = {word for way in ways for word in way or {}}
        if self.moments or "unpaired" in words:
            words.add("multiplicity")
        return words - {"unpaired"}


class Level(Settings):
    """Method, basis and dispersion, and the engine that evaluates them: declared here for every door.

    YAML, command line and JSON schema follow from these fields. Whether their words exist and fit each other
    is known to the engine alone (`prerelax.engines.validate_level`).
    """

    engine: EngineName = Field(
        description="Program that evaluates the level; dft: GPU4PySCF on a machine that has it, else PySCF"
    )
    method: str = Field(
        description="GFN2-xTB, GFN1-xTB, HF, a functional such as PBE0, qm9 (the data set's own level), a "
        "model of mlff, or what an ASE calculator's level is called",
    )
    basis: str | None = Field(None, description="Basis set of a DFT method")
    dispersion: DispersionName | None = Field(
        None, description="Dispersion correction beyond what the method itself contains"
    )
    solvent: str | None = Field(None, min_length=1, description="Implicit solvent, e.g. water")
    solvent_model: str | None = Field(
        None, description="smd, c-pcm, ief-pcm (pyscf); alpb, gbsa, c-pcm (tblite). Default: the first"
    )
    density_fitting: bool = Field(
        True, description="Coulomb and exchange by density fitting, where the engine has the choice"
    )
    calculator: str | None = Field(
        None, description="Of the engine ase: orca, gaussian, nwchem, mace, …, or module:class"
    )
    options: dict[str, JsonValue] | None = Field(
        None, description="Keywords of that calculator; those with paths belong in the site file"
    )
    elements: tuple[str, ...] | None = Field(
        None, description="Elements that the calculator treats. Default: it says so itself, or all"
    )
    electrons: Electrons | None = Field(
        None, description="How charge and multiplicity reach that calculator. Default: known names know"
    )
    tight: bool = Field(
        False,
        description=f"Forces good enough to converge below {TIGHT_FMAX_EV_ANG} eV/Å, where the engine has "
        "the choice",
    )

    def __str__(self) -> str:
        dispersion = f"-{self.dispersion.upper()}" if self.dispersion else ""
        basis = f"/{self.basis}" if self.basis else ""
        solvent = f" in {self.solvent}" if self.solvent else ""
        return f"{self.method}{dispersion}{basis}{solvent} ({self.calculator or self.engine})"


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of the packages behind a number, found without importing them."""
    return {package: importlib.metadata.version(package) for package in packages}
