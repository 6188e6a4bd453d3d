"""The part `studies.relaxation` of a campaign: MoreRed's relaxations of inputs whose minimum is known.

Kahouli et al., MLST 2024, 5, 035038; what is drawn: docs/guide/studies.md.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from prerelax.choices import Dispersion, Engine
from prerelax.studies.study import Study

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
Methods = Annotated[list[str], Field(min_length=1)]


class MethodEnergies(Study):
    """Energies of what the methods end in, above the minimum at a level of DFT (paper M, figure 6)."""

    engine: Engine = "pyscf"
    method: str = Field("PBE0", min_length=1)
    basis: str | None = None
    dispersion: Dispersion | None = None
    input: str = Field("displaced", description="which of the study's inputs")
    methods: list[str] | None = Field(None, description="default: those of the study")
    molecules: int = Field(34, ge=1, description="the first so many minima that max_heavy_atoms allows")
    max_heavy_atoms: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _known_level(self) -> "MethodEnergies":
        from prerelax.engines import Level, validate_level

        validate_level(Level(self.engine, self.method, self.basis, self.dispersion))
        return self

    @property
    def name(self) -> str:
        """As figures say it."""
        level = self.method if self.basis is None else f"{self.method}/{self.basis}"
        return level if self.dispersion is None else f"{level} with {self.dispersion.upper()}"

    def options(self) -> list[str]:
        """The command-line options of `prerelax energies`."""
        words = ["--engine", self.engine, "--method", self.method]
        for flag in ("basis", "dispersion", "max_heavy_atoms"):
            if (value := getattr(self, flag)) is not None:
                words += ["--" + flag.replace("_", "-"), str(value)]
        return words


class RelaxationStudy(Study):
    """RMSD, time and energy of relaxations by several methods (paper M, figures 3 to 11 and 16).

    A method's start of an input is called METHOD-INPUT.
    """

    reference: str = Field(description="the start whose geometries are the minima")
    inputs: Methods = Field(description="starts of the kinds displaced or diffused")
    methods: Methods = Field(description="in the figures' order")
    predicting: list[str] = Field(
        default_factory=list, description="methods whose predicted first step is drawn against the RMSD"
    )
    comparisons: dict[Name, Methods] = Field(
        default_factory=dict, description="a figure of RMSD in bins for each: retrained ones, backbones"
    )
    repeats: dict[str, Methods] = Field(
        default_factory=dict, description="the same method with other seeds, for its stochastic spread"
    )
    serial: list[str] = Field(default_factory=list, description="one at a time, for seconds per step")
    drawn_by: str | None = Field(None, description="the method whose RMSD ratios choose the drawings")
    energies: MethodEnergies | None = None
    curves: list[str] = Field(default_factory=list, description="denoisers whose training curves are drawn")

    def tables(self, starts: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
        """The (method, input) of every table: of `methods` and what belongs to them, and of each comparison.

        Apart, so that a backbone that is not installed costs its own figure. Repeats, serial runs and
        comparisons are there where the campaign has the start.
        """
        again = [name for names in self.repeats.values() for name in names]
        wanted = {"methods": [*self.methods, *again, *self.serial], **self.comparisons}
        return {
            table: [
                (method, name)
                for name in self.inputs
                for method in dict.fromkeys(methods)
                if f"{method}-{name}" in starts
            ]
            for table, methods in wanted.items()
        }

    def complaints(self, starts: Mapping[str, Any], denoisers: Mapping[str, Any]) -> Iterator[str]:
        """What names are wrong, one sentence each."""
        if self.reference not in ("rdkit", *starts):
            yield f"studies.relaxation.reference: {self.reference} is not among the starts"
        for name in self.inputs:
            if name not in starts:
                yield f"studies.relaxation.inputs: {name} is not among the starts"
        for name in self.inputs:
            for method in self.methods:
                start = starts.get(f"{method}-{name}")
                if start is None or getattr(start, "from_", None) != name:
                    yield f"studies.relaxation.methods: there is no start {method}-{name} made from {name}"
        everywhere = {method for rows in self.tables(starts).values() for method, _ in rows}
        named = {"predicting": self.predicting, "serial": self.serial}
        named |= {f"comparisons.{k}": v for k, v in self.comparisons.items()}
        named |= {f"repeats.{k}": v for k, v in self.repeats.items()}
        named["drawn_by"] = [self.drawn_by] if self.drawn_by else []
        for key, methods in named.items():
            for method in methods:
                if method not in everywhere:
                    yield f"studies.relaxation.{key}: there is no start {method}-{self.inputs[0]}"
        for name in self.curves:
            if name not in denoisers:
                yield f"studies.relaxation.curves: {name} is not among the denoisers"
        if self.energies and self.energies.input not in self.inputs:
            yield f"studies.relaxation.energies.input: {self.energies.input} is not among the inputs"
        elif self.energies:
            for method in self.energies.methods or ():
                if (start := f"{method}-{self.energies.input}") not in starts:
                    yield f"studies.relaxation.energies.methods: there is no start {start}"
