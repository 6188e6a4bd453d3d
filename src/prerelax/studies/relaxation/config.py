"""The part `studies.relaxation` of a campaign: MoreRed's relaxations of inputs whose minimum is known.

Kahouli et al., MLST 2024, 5, 035038; what is drawn: docs/guide/studies.md.
"""

from collections.abc import Container, Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from prerelax.campaign.config import Campaign
from prerelax.campaign.section import EMBEDDING, Name
from prerelax.engines.level import EngineName, Level
from prerelax.relaxation.settings import Only, SinglePoints
from prerelax.settings import Settings
from prerelax.studies.study import Study, StudyFigure, StudyFiles, part

Methods = Annotated[list[str], Field(min_length=1)]


class MethodEnergies(Level):
    """Energies of what the methods end in, above the minimum at a level of DFT (paper M, figure 6)."""

    engine: EngineName = "pyscf"
    method: str = Field("PBE0", min_length=1)
    input: str = Field("displaced", description="which of the study's inputs")
    methods: list[str] | None = Field(None, description="default: those of the study")
    molecules: int = Field(34, ge=1, description="only the first N minima that max_heavy_atoms allows")
    max_heavy_atoms: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _known_level(self) -> "MethodEnergies":
        from prerelax.engines import validate_level

        validate_level(self.points.level)
        return self

    @property
    def name(self) -> str:
        """As figures say it."""
        level = self.method if self.basis is None else f"{self.method}/{self.basis}"
        return level if self.dispersion is None else f"{level} with {self.dispersion.upper()}"

    @property
    def points(self) -> SinglePoints:
        """What `prerelax energies` is asked for."""
        level = self.model_dump(include=set(Level.model_fields))
        return SinglePoints(**level, only=Only(max_heavy_atoms=self.max_heavy_atoms))


FigureKind = Literal["ratios", "steps", "bins", "seconds", "sizes"]
"""RMSD ratios (paper M, figure 4), predicted steps (3a), RMSD in bins (8, 10, 11), seconds, sizes."""


class TableSettings(Settings):
    """Whose relaxations a table holds. A method's start of an input is called METHOD-INPUT."""

    reference: str = Field(description="the start whose geometries are the minima")
    inputs: dict[str, list[str]] = Field(description="methods by input")

    @property
    def starts(self) -> list[str]:
        """Names of all starts that the table is made from."""
        made = [f"{method}-{name}" for name, methods in self.inputs.items() for method in methods]
        return [self.reference, *self.inputs, *made]


class FigureSettings(Settings):
    """A figure drawn from a table."""

    kind: FigureKind
    methods: Methods = Field(description="in the figure's order")
    repeats: dict[str, Methods] = Field(default_factory=dict, description="the same method, other seeds")
    serial: list[str] = Field([], description="methods run one structure at a time, stopped early")


class DrawingSettings(Settings):
    """Molecules drawn before and after the methods."""

    reference: str
    input: str = Field(description="the start that the methods begin with")
    methods: Methods
    by: str = Field(description="the method whose RMSD ratios choose the molecules")


class EnergySettings(Settings):
    """Energies above the minimum of what the methods end in."""

    reference: str
    input: str = Field(description="the start that the methods begin with")
    methods: Methods
    level: str = Field("DFT", description="its name in the figure")


class RelaxationStudy(Settings, Study):
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

    def in_small(self, n: int) -> Self:
        if self.energies is None:
            return self
        energies = self.energies.model_copy(update={"molecules": min(n, self.energies.molecules)})
        return self.model_copy(update={"energies": energies})

    def tables(self, starts: Container[str]) -> dict[str, TableSettings]:
        """What every table is made from: that of `methods` and what belongs to them, and of each comparison.

        Apart, so that a backbone that is not installed costs its own figure. Repeats, serial runs and
        comparisons are there where the campaign has the start.
        """
        again = [name for names in self.repeats.values() for name in names]
        wanted = {"methods": [*self.methods, *again, *self.serial], **self.comparisons}
        tables = {}
        for table, methods in wanted.items():
            made = {n: [m for m in dict.fromkeys(methods) if f"{m}-{n}" in starts] for n in self.inputs}
            tables[table] = TableSettings(reference=self.reference, inputs=made)
        return tables

    def figures(self, files: StudyFiles) -> Iterator[StudyFigure]:
        def figure(
            name: str, words: list[str], inputs: list[str], settings: BaseModel | None, label: str
        ) -> StudyFigure:
            caption, category = "relaxation/report/relaxation.rst", "Relaxations with a known minimum"
            return StudyFigure(name, ["relaxation", *words], inputs, settings, label, caption, category)

        results = files.results
        methods = f"{results}/relaxation/methods.csv"
        for name, (table, settings) in self._from_tables().items():
            path = f"{results}/relaxation/{table}.csv"
            yield figure(f"relaxation_{name}", ["figure", path], [path], settings, name)
        for name in self.inputs if self.drawn_by else []:
            drawing = part(DrawingSettings, self, input=name, by=self.drawn_by)
            words = ["drawings", results, methods]
            yield figure(f"relaxation_drawings_{name}", words, [methods], drawing, f"molecules, {name}")
        if self.energies:
            starts = self.rows_evaluated(files.campaign)
            inputs = [f"{results}/relaxation_energies/{start}/{files.shards[0]}.extxyz" for start in starts]
            said = {"methods": self.energy_methods, "level": self.energies.name}
            energies = part(EnergySettings, self, self.energies, **said)
            words = ["energies", results]
            yield figure("relaxation_energies", words, inputs, energies, "energies above the minimum")
        if self.curves:
            folders = [files.layout.training(name) for name in self.curves]
            weights = [files.layout.weights(name) for name in self.curves]
            yield figure("training_curves", ["curves", *folders], weights, None, "training curves")

    def _from_tables(self) -> dict[str, tuple[str, FigureSettings]]:
        """By their names the figures that are drawn from a table, and the name of that table."""
        more: dict[str, dict[str, object]] = {"ratios": {}, "sizes": {}}
        more |= {"bins": {"repeats": self.repeats}, "seconds": {"serial": self.serial}}
        if self.predicting:
            more["steps"] = {"methods": self.predicting}
        drawn = {
            kind: ("methods", part(FigureSettings, **{"kind": kind, "methods": self.methods, **said}))
            for kind, said in more.items()
        }
        for name, methods in self.comparisons.items():
            drawn[f"bins_{name}"] = (name, FigureSettings(kind="bins", methods=methods))
        return drawn

    @property
    def energy_methods(self) -> list[str]:
        """Methods whose results' energies are evaluated; none without `energies`."""
        return (self.energies.methods or self.methods) if self.energies else []

    def rows_evaluated(self, campaign: Campaign) -> dict[str, int]:
        """Starts whose energies are evaluated, and how many of their rows; none without `energies`."""
        if self.energies is None:
            return {}
        name, molecules = self.energies.input, self.energies.molecules
        rows = molecules * campaign.rows_of_minimum(name)
        made = [name, *(f"{method}-{name}" for method in self.energy_methods)]
        return {self.reference: molecules} | dict.fromkeys(made, rows)

    def complaints(self, campaign: Campaign) -> Iterator[str]:
        starts = campaign.starts
        if self.reference not in (EMBEDDING, *starts):
            yield f"studies.relaxation.reference: {self.reference} is not among the starts"
        for name in self.inputs:
            if name not in starts:
                yield f"studies.relaxation.inputs: {name} is not among the starts"
        for name in self.inputs:
            for method in self.methods:
                start = f"{method}-{name}"
                if start not in starts or campaign.source(start) != name:
                    yield f"studies.relaxation.methods: there is no start {method}-{name} made from {name}"
        tables = self.tables(starts).values()
        everywhere = {method for table in tables for methods in table.inputs.values() for method in methods}
        named = {"predicting": self.predicting, "serial": self.serial}
        named |= {f"comparisons.{k}": v for k, v in self.comparisons.items()}
        named |= {f"repeats.{k}": v for k, v in self.repeats.items()}
        named["drawn_by"] = [self.drawn_by] if self.drawn_by else []
        for key, methods in named.items():
            for method in methods:
                if method not in everywhere:
                    yield f"studies.relaxation.{key}: there is no start {method}-{self.inputs[0]}"
        for name in self.curves:
            if name not in campaign.denoisers:
                yield f"studies.relaxation.curves: {name} is not among the denoisers"
        if self.energies and self.energies.input not in self.inputs:
            yield f"studies.relaxation.energies.input: {self.energies.input} is not among the inputs"
        elif self.energies:
            for method in self.energies.methods or ():
                start = f"{method}-{self.energies.input}"
                if start not in starts:
                    yield f"studies.relaxation.energies.methods: there is no start {start}"


KEYS = {"relaxation": RelaxationStudy}
