"""What every engine says of itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from prerelax.engines.calculator import EngineCalculator
from prerelax.engines.level import Level
from prerelax.engines.solvents import solvent_model

NOTHING: Mapping[str, str] = MappingProxyType({})


class Engine(ABC):
    """A program that evaluates levels of theory: its traits, and how its calculators are made.

    Importing the module of an engine imports nothing of the program itself: whoever only asks for a trait
    should not wait. Programs are imported where a level is validated or a calculator made.
    """

    name: ClassVar[str]
    is_cheap: ClassVar[bool] = False
    """A gradient takes milliseconds. Its relaxations last seconds, and force constants of another cheap level
    serve it as they are."""
    in_torch: ClassVar[bool] = False
    """It computes with torch, beside which tblite is not reproducible."""
    method_is_model: ClassVar[bool] = False
    """The method is the name or folder of a trained model, which a campaign may have yet to train."""
    refuses: ClassVar[Mapping[str, str]] = NOTHING
    """Fields of a level that mean nothing to it, and why: `basis`, `dispersion`."""
    solvent_models: ClassVar[tuple[str, ...]] = ()
    """Implicit solvents with analytic gradients; the first is the default."""
    gradient_s: ClassVar[tuple[float, float]] = (40.0, 2.5)
    """A first guess of what a gradient of 60 electrons takes on one core, in seconds, and the exponent with
    which it grows with the electrons. The default is B3LYP/6-31G(2df,p) with PySCF; other levels of density
    functional theory are within a factor of a few."""

    @abstractmethod
    def validate(self, level: Level) -> None:
        """Raise ValueError with one sentence where a word of the level does not exist or fit the others.

        Imports the program: not for a process that holds torch.
        """

    @abstractmethod
    def settings(self, level: Level) -> dict[str, object]:
        """What the numbers depend on beside the level's own words, versions among it, ready for JSON.

        Imports no program. Raises ValueError where it is missing or refuses the level.
        """

    @abstractmethod
    def calculator(self, level: Level, charge: int, multiplicity: int, threads: int) -> EngineCalculator:
        """Energy and forces of one molecule of this charge and multiplicity."""

    def check_consent(self, level: Level) -> None:  # noqa: B027
        """Raise UserError where the level would run code that the user has not consented to."""

    def check_here(self, level: Level) -> None:  # noqa: B027
        """Raise UserError where a level may not, or cannot, be evaluated on this machine; starts nothing."""

    def told_of_electrons(self, level: Level) -> set[str]:
        """What of `charge` and `multiplicity` a calculator of this level is told."""
        return {"charge", "multiplicity"}

    def is_cheap_at(self, level: Level) -> bool:
        """`is_cheap`, where that depends on the level."""
        return self.is_cheap

    def resolved(self, level: Level) -> Level:
        """The level with the engine that evaluates it on this machine, where this one stands for several."""
        return level

    def solvent_model(self, level: Level) -> str:
        """The model of a level with a solvent. Raises ValueError where this engine has none such."""
        return solvent_model(level, self.solvent_models)
