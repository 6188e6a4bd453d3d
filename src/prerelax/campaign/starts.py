"""The section `starts` of a campaign's config: geometries from which relaxations begin."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from prerelax.campaign.data_path import expanded
from prerelax.campaign.levels import KnownRelaxation
from prerelax.campaign.section import EMBEDDING, Name
from prerelax.set_making.options import PilotOptions
from prerelax.settings import Settings
from prerelax.starts.options import DiffusedOptions, DiffuseOptions, ForcefieldOptions, SearchPlan, Seed

FRAGMENTS_OF_A_JOB = 10
MOST_PILOT_JOBS = 12
"""As many as a pilot has fragments at least (`PilotOptions.fewest`)."""


class EmbedStart(Settings):
    """Compare the embedded geometries themselves."""

    kind: Literal["embed"]


class EmbedAgainStart(Settings):
    """Embed again what came with coordinates, as the papers embed a data set's molecules."""

    kind: Literal["embed-again"]
    from_: Name = Field(EMBEDDING, alias="from", description="Start whose molecules are embedded")
    seed: Seed = Field(42, description="Random seed of the embedding")


class ForcefieldStart(ForcefieldOptions):
    """Minimise with a force field."""

    kind: Literal["forcefield"]
    from_: Name = Field(EMBEDDING, alias="from", description="Start whose geometries are minimised")


class RelaxStart(KnownRelaxation):
    """Relax first at a level cheaper than the targets; its gradients are counted as cheap ones."""

    kind: Literal["relax"]
    from_: Name = Field("mmff94", alias="from", description="Start whose geometries are relaxed")


class SampleStart(SearchPlan):
    """Search for conformers by replica exchange between diffusion steps; their minima at GFN2-xTB."""

    kind: Literal["sample"]
    from_: Name = Field("mmff94", alias="from", description="Start whose geometries the search begins with")


class Adapt(Settings):
    """Teach the denoiser a target's level first, by a pilot: fragments of the molecules, or some of them."""

    target: Name = Field(description="Target whose level is learned; its optimizer relaxes the pilot")
    on: Literal["fragments", "molecules"] = Field(
        "fragments", description="What the pilot is: parts of the molecules, or a random sample of them"
    )
    count: int = Field(60, ge=20, description="Fragments or molecules relaxed; their gradients are the price")
    rounds: list[Annotated[int, Field(ge=20)]] | None = Field(
        None,
        min_length=1,
        max_length=8,
        description="With molecules: how many are learned from, time after time, as [60, 240, 960]; those of "
        "later rounds begin at what was learned before. Default: `count`, once",
    )
    max_heavy_atoms: int = Field(8, ge=4, description="Largest fragments; they cost most")
    guide: bool = Field(
        False,
        description="two-level begins the target's relaxations from this start with what the pilot's "
        "gradients say of its level",
    )

    @model_validator(mode="after")
    def _rounds_grow(self) -> Self:
        if self.rounds is not None and self.on == "fragments":
            raise ValueError("rounds are of molecules: say `on: molecules`, or `count` in their place")
        if self.rounds is not None and any(b <= a for a, b in pairwise(self.rounds)):
            raise ValueError("rounds must grow: each is how many molecules are learned from by then")
        return self

    @property
    def learned_from(self) -> list[int]:
        """Molecules after each round."""
        return self.rounds or [self.count]

    @property
    def pilot(self) -> PilotOptions:
        """How the fragments are chosen."""
        return PilotOptions(count=self.count, max_heavy_atoms=self.max_heavy_atoms)

    @property
    def n_jobs(self) -> int:
        """Jobs that relax the pilot, each every so many-th fragment: none is without one."""
        return min(MOST_PILOT_JOBS, self.count // FRAGMENTS_OF_A_JOB)


class DiffuseStart(DiffuseOptions):
    """Denoise with a diffusion model."""

    kind: Literal["diffuse"]
    from_: Name = Field("mmff94", alias="from", description="Start whose geometries are denoised")
    adapt: Adapt | None = Field(
        None, description="Teach `model` the level of a target first, from fragments of the molecules"
    )
    for_: Name | None = Field(
        None,
        alias="for",
        description="With the model auto: target whose level is wanted. Default: the first of a DFT program",
    )


class DisplacedStart(Settings):
    """Three displacements of every minimum: smallest, middle and largest RMSD (paper M's inputs)."""

    kind: Literal["displaced"]
    from_: Name = Field(alias="from", description="Start whose geometries are minima of the set's level")
    set: str = Field(min_length=1, description="One of `sets`, by which they are displaced, or an npz of one")
    displacements: int = Field(100, ge=3, description="Of every minimum, where they are made")

    @model_validator(mode="after")
    def _path_is_set(self) -> Self:
        expanded(self.set)
        return self


class DiffusedStart(DiffusedOptions):
    """Minima with as much noise as the schedule has at some steps: one geometry for each."""

    kind: Literal["diffused"]
    from_: Name = Field(alias="from", description="Start whose geometries are diffused")


Start = Annotated[
    EmbedStart
    | EmbedAgainStart
    | ForcefieldStart
    | RelaxStart
    | SampleStart
    | DiffuseStart
    | DisplacedStart
    | DiffusedStart,
    Field(discriminator="kind"),
]
