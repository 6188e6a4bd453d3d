"""The section `starts` of a campaign's config: geometries from which relaxations begin."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from prerelax.campaign.data_path import expanded
from prerelax.campaign.levels import known_relaxation
from prerelax.campaign.section import EMBEDDING, Name
from prerelax.relaxation.settings import Relaxation
from prerelax.settings import Settings
from prerelax.starts.options import DiffusedOptions, DiffuseOptions, ForcefieldOptions, Seed


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


class RelaxStart(Relaxation):
    """Relax first at a level cheaper than the targets; its gradients are counted as cheap ones."""

    kind: Literal["relax"]
    from_: Name = Field("mmff94", alias="from", description="Start whose geometries are relaxed")

    @model_validator(mode="after")
    def _known(self) -> Self:
        known_relaxation(self)
        return self


class DiffuseStart(DiffuseOptions):
    """Denoise with a diffusion model."""

    kind: Literal["diffuse"]
    from_: Name = Field("mmff94", alias="from", description="Start whose geometries are denoised")


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
    | DiffuseStart
    | DisplacedStart
    | DiffusedStart,
    Field(discriminator="kind"),
]
