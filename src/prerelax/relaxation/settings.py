"""How molecules are relaxed, which ones, and on what: declared here for Python, YAML and the command line.

Imports no engine and no optimizer, so that `prerelax --help` and the Snakefile's parse stay quick.
"""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args

import numpy as np
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree
from numpy.typing import NDArray
from pydantic import Field, WithJsonSchema, field_validator, model_validator

from prerelax.engines.level import TIGHT_FMAX_EV_ANG, Level
from prerelax.errors import UserError, nearest
from prerelax.relaxation.convergence import CRITERIA, PAPERS_FMAX_EV_ANG, Convergence, Criteria
from prerelax.settings import Settings

if TYPE_CHECKING:
    from prerelax.relaxation.learned_difference import LearnedDifference

METHOD_VERSION = 1
"""Raised when a change of how molecules are relaxed alters results, so that journals of before are not taken
for today's."""
HESSIAN_VERSION = 6
"""The same for `bfgs-hessian`, for geomeTRIC and for `two-level`."""
GEOMETRIC_VERSION = 2
TWO_LEVEL_VERSION = 15

THERMOCHEMISTRY_VERSION = 2
KICK_VERSION = 2
"""The same for Gibbs energies, and for how a saddle point is left."""
CRITERIA_VERSION = 4
"""The same for how it is judged whether the criteria of a convergence hold (`foresight`)."""

Optimizer = Literal[
    "bfgs", "lbfgs", "bfgs-linesearch", "fire", "bfgs-hessian", "two-level", "sella", "geometric", "pyberny"
]
HOLDING = frozenset({"bfgs", "lbfgs", "bfgs-linesearch", "fire", "geometric"})
"""Optimizers that hold constraints; the steps of the others know nothing of them."""
HOLDS_BY_DEFAULT = "geometric"
CHECKED_ATOMS = 60
"""Larger molecules are checked only where it is asked for: the cheap level's Hessian costs minutes."""
CheapLevel = Literal["auto", "gfn2", "gfn1", "mmff94", "lindh"]
Guide = str | Level
CheckMinimum = Literal["none", "cheap", "target"]
OptimizerName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(get_args(Optimizer))})]


class Only(Settings):
    """Which molecules are treated; the others get the status `skipped`. None allows all."""

    max_atoms: int | None = Field(None, ge=1, description="Skip molecules with more atoms")
    max_heavy_atoms: int | None = Field(None, ge=0, description="Skip molecules with more heavy atoms")
    elements: tuple[str, ...] | None = Field(None, description="Skip molecules with other elements")

    @field_validator("elements")
    @classmethod
    def _are_elements(cls, elements: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for symbol in elements or ():
            if symbol not in chemical_symbols[1:]:
                near = nearest(symbol, chemical_symbols[1:], list_known=False)
                raise ValueError(f"{symbol!r} is no element's symbol{near}")
        return elements

    def objection(self, numbers: NDArray[np.integer]) -> str | None:
        """Why a molecule of these atomic numbers [n_atoms] is not treated, or None."""
        n_atoms, n_heavy = len(numbers), int(np.count_nonzero(numbers > 1))
        if self.max_atoms is not None and n_atoms > self.max_atoms:
            return f"{n_atoms} atoms, the target takes at most {self.max_atoms}"
        if self.max_heavy_atoms is not None and n_heavy > self.max_heavy_atoms:
            return f"{n_heavy} heavy atoms, the target takes at most {self.max_heavy_atoms}"
        if self.elements is not None:
            others = {chemical_symbols[z] for z in numbers} - set(self.elements)
            if others:
                return f"the target does not take {', '.join(sorted(others))}"
        return None


class Resources(Settings):
    """What a shard's relaxations may use at once."""

    workers: int = Field(1, ge=1, description="Molecules in parallel")
    threads: int = Field(1, ge=1, description="Threads of each molecule")


class SinglePoints(Level):
    """A level, and the molecules whose geometries are evaluated."""

    only: Only = Only()

    @property
    def level(self) -> Level:
        """The level alone."""
        return Level(**{name: getattr(self, name) for name in Level.model_fields})


class Relaxation(SinglePoints):
    """A level, how its minima are searched for, and when a geometry counts as one."""

    optimizer: OptimizerName | None = Field(
        None,
        description="Default: two-level with a DFT program, otherwise bfgs-hessian. The papers used bfgs",
    )
    cheap_level: CheapLevel | Level = Field(
        "auto",
        description="Cheap level of bfgs-hessian, two-level and check_minimum. auto: GFN1-xTB, or what is "
        "much cheaper than the target; a config may also say a level, `{engine: ase, calculator: …}`",
    )
    learned: Path | None = Field(
        None,
        description="What `prerelax data guide` learned of the level from a pilot: two-level begins with it",
    )
    check_minimum: CheckMinimum | None = Field(
        None,
        description="Check that the end is a minimum: by the cheap level's Hessian, or by the target's own. "
        f"Default: cheap with a DFT program, up to {CHECKED_ATOMS} atoms, unless fmax or papers is asked for",
    )
    kick: bool = Field(
        False, description="Leave a saddle point that check_minimum found, and relax again from there"
    )
    convergence: Convergence | None = Field(
        None,
        description="normal, tight, loose: Gaussian's four criteria and the estimated remaining energy; "
        "papers: fmax 0.03 alone. Default: normal with a DFT program, papers otherwise",
    )
    fmax: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Largest force on an atom at convergence, eV/Å, the only criterion",
    )
    max_steps: int = Field(
        1000, ge=0, description="Largest number of optimizer steps; the papers had no limit"
    )
    timeout_s: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Seconds for one molecule. Default: no limit"
    )

    @model_validator(mode="after")
    def _one_kind_of_convergence(self) -> Self:
        if self.fmax is not None and self.convergence not in (None, "papers"):
            raise ValueError(
                f"fmax is a criterion of its own; leave it out beside convergence {self.convergence}"
            )
        return self

    @property
    def criteria(self) -> Criteria | None:
        """The four criteria and the energy left; None where the largest force alone counts."""
        from prerelax.engines import is_cheap

        if self.fmax is not None:
            return None
        default: Convergence = "papers" if is_cheap(self) else "normal"
        return CRITERIA.get(self.convergence or default)

    @property
    def fmax_ev_ang(self) -> float:
        """The largest force on an atom at convergence: a bound, where the criteria are of components."""
        if self.criteria is None:
            return self.fmax or PAPERS_FMAX_EV_ANG
        return float(math.sqrt(3) * self.criteria.gradient_max * Hartree / Bohr)

    @model_validator(mode="after")
    def _kick_is_asked_for_with_a_check(self) -> Self:
        if self.kick and self.chosen_check == "none":
            raise ValueError(
                "kick leaves saddle points that check_minimum finds; choose cheap or target for it"
            )
        return self

    @classmethod
    def single_point(cls, level: Level) -> "Relaxation":
        """One evaluation at a level, nothing moved."""
        return Relaxation(**level.model_dump(), optimizer="bfgs", check_minimum="none", max_steps=0)

    @property
    def evaluated_level(self) -> Level:
        """The level, tight where the forces are to become very small."""
        strict = self.criteria is not None and self.criteria.energy_left_kcal_mol is not None
        tight = self.tight or strict or self.fmax_ev_ang < TIGHT_FMAX_EV_ANG
        return self.level.model_copy(update={"tight": tight})

    @property
    def chosen_optimizer(self) -> str:
        """The optimizer, where none is named the engine's default."""
        from prerelax.relaxation.optimizers import default_optimizer

        return self.optimizer or default_optimizer(self)

    @property
    def chosen_check(self) -> CheckMinimum:
        """The check of the end that is made of molecules of at most CHECKED_ATOMS."""
        from prerelax.engines import is_cheap

        if self.check_minimum is not None:
            return self.check_minimum
        return "none" if self.criteria is None or is_cheap(self) else "cheap"

    def check_of(self, n_atoms: int) -> CheckMinimum:
        """The check of one molecule's end."""
        return "none" if self.check_minimum is None and n_atoms > CHECKED_ATOMS else self.chosen_check

    @property
    def chosen_cheap_level(self) -> Guide:
        """The cheap level that `cheap_level` means at this target.

        Where `auto` stands for a first Hessian at a cheap target it is Lindh's model: the Hessian of an xTB
        costs as much as the relaxation. Raises ValueError for one that is the target itself or cannot
        share its process.
        """
        from prerelax.engines import is_cheap
        from prerelax.relaxation.cheap_surface import MODEL, cheap_level

        only_a_hessian = self.chosen_optimizer == "bfgs-hessian" and self.chosen_check != "cheap"
        if self.cheap_level == "auto" and is_cheap(self) and only_a_hessian:
            return MODEL
        return cheap_level(self.cheap_level, self.level)

    def _guide_settings(self) -> object:
        """What is said of the cheap level: its name, or all that the numbers of a level depend on."""
        from prerelax.engines import level_settings

        guide = self.chosen_cheap_level
        return guide if isinstance(guide, str) else level_settings(guide)

    def _convergence_settings(self) -> dict[str, object]:
        if self.criteria is None:
            return {"fmax_ev_ang": self.fmax_ev_ang}
        return {"criteria": dataclasses.asdict(self.criteria), "criteria_version": CRITERIA_VERSION}

    def force_constant_factors(self) -> dict[str, float]:
        """By which the cheap level's force constants are multiplied; none where the target is cheap too."""
        from prerelax.engines import is_cheap
        from prerelax.relaxation.cheap_surface import name_of
        from prerelax.relaxation.force_constants import DFT_FACTORS

        return {} if is_cheap(self) else DFT_FACTORS.get(name_of(self.chosen_cheap_level), {})

    def learned_difference(self) -> "LearnedDifference | None":
        """What `learned` holds, or what is expected of the kind of method, where two-level uses it.

        Raises UserError for a file that is none, or of another level or cheap level.
        """
        from prerelax.engines import level_settings
        from prerelax.records.settings import level_name
        from prerelax.relaxation.cheap_surface import name_of
        from prerelax.relaxation.expected_difference import expected_of
        from prerelax.relaxation.learned_difference import read_learned

        if self.chosen_optimizer != "two-level":
            return None
        guide = name_of(self.chosen_cheap_level)
        if self.learned is None:
            return expected_of(self.engine, self.method, guide)
        found = read_learned(self.learned)
        level = level_name(level_settings(self.level))
        if (found.level.lower(), found.guide) != (level.lower(), guide):
            raise UserError(
                f"{self.learned} was learned for {found.level} with the cheap level {found.guide}; this is "
                f"{level} with {guide}"
            )
        return found

    def settings(self) -> dict[str, object]:
        """Everything a result depends on beside the molecule, ready for JSON."""
        from ase import __version__

        from prerelax.engines import level_settings
        from prerelax.records.settings import sha256_of_files
        from prerelax.relaxation.optimizers import WITH_CHEAP_LEVEL

        settings = {
            **level_settings(self.evaluated_level),
            "optimizer": self.chosen_optimizer,
            **self._convergence_settings(),
            "max_steps": self.max_steps,
            "ase": __version__,
            "method_version": METHOD_VERSION,
        }
        if self.chosen_optimizer == "two-level":
            settings |= {"hessian": self._guide_settings(), "two_level_version": TWO_LEVEL_VERSION}
            if self.learned is not None and self.learned_difference() is not None:
                settings["learned_sha256"] = sha256_of_files(self.learned)
        elif self.chosen_optimizer == "geometric":
            settings["geometric_version"] = GEOMETRIC_VERSION
        elif self.chosen_optimizer in WITH_CHEAP_LEVEL:
            settings |= {
                "hessian": self._guide_settings(),
                "hessian_version": HESSIAN_VERSION,
                "force_constant_factors": self.force_constant_factors(),
            }
        if self.chosen_check != "none":
            settings |= {
                "check_minimum": self.chosen_check,
                "kick": self.kick,
                "hessian": self._guide_settings(),
            }
        if self.chosen_check == "target":
            settings["thermochemistry_version"] = THERMOCHEMISTRY_VERSION
        if self.kick:
            settings["kick_version"] = KICK_VERSION
        return settings
