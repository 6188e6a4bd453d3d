"""How the starts are made: options that the command line and a campaign's YAML share. Imports no torch."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from prerelax.diffusion.options import SamplerOptions
from prerelax.molecules.constraint_words import checked
from prerelax.settings import Settings

ForceField = Literal["mmff94", "uff", "mmff94-openbabel"]
Fallback = Literal["gfn2", "none"]
StereoChoice = Literal["one", "enumerate", "refuse"]
Stereo = Annotated[
    StereoChoice,
    Field(
        description="Where a configuration is not given: take one and name it, make a molecule of each "
        "isomer, or refuse the row"
    ),
]

Constraints = Annotated[
    str,
    AfterValidator(checked),
    Field(
        description="What stays as it is in every molecule and stage, beside its column `constraints`: "
        "`rotatable`, `dihedral 1 2 3 4`, `atoms 1-3`, …, separated by semicolons"
    ),
]

DEFAULT_MODEL = "edm-qm9-small"

Seed = Annotated[int, Field(ge=0)]
Conformers = Annotated[int, Field(ge=1, le=10_000, description="Conformers of each molecule")]


class EmbedOptions(Settings):
    """How molecules are embedded: RDKit's ETKDGv3."""

    conformers: Conformers = 1
    seed: Seed = Field(42, description="Random seed of the embedding")
    stereo: Stereo = "one"
    constraints: Constraints = ""


class ForcefieldOptions(Settings):
    """How a force field minimises the embedded geometries."""

    method: ForceField = Field(
        "mmff94", description="Force field; mmff94-openbabel needs the extra `openbabel`"
    )
    max_iterations: int | None = Field(
        None, ge=1, description="Largest number of iterations; the paper's is 200. Default: until converged"
    )
    fallback: Fallback = Field(
        "gfn2",
        description="What minimises a molecule that the force field has no parameters for or changes: UFF, "
        "then GFN2-xTB; or nothing",
    )


class DiffuseOptions(SamplerOptions):
    """How a denoiser makes a start."""

    model: str = Field(
        DEFAULT_MODEL,
        min_length=1,
        description="Name of a shipped denoiser, or a model folder; auto: for each molecule the shipped one "
        "whose card fits best",
    )
    level: str | None = Field(
        None,
        description="With the model auto: level of the minima that are wanted, such as B3LYP-D3BJ/def2-SVP; "
        "where it is not said, a DFT level",
    )
    epoch: float | None = Field(
        None,
        gt=0,
        description="Use the model that the training in the folder `model` kept at this epoch",
    )
    fallback: Fallback = Field(
        "gfn2",
        description="What relaxes a molecule that the model does not know, breaks or is unsure of: "
        "GFN2-xTB, or nothing",
    )

    @property
    def sampling(self) -> dict[str, object]:
        """The options that were given, as rows keep them, the models' names left out."""
        return self.model_dump(
            include=set(DiffuseOptions.model_fields) - {"model", "epoch"}, exclude_none=True
        )


class DiffusedOptions(Settings):
    """At which steps of MoreRed's schedule minima are noised: one geometry for each."""

    steps: list[Annotated[int, Field(ge=1, le=999)]] = Field(
        min_length=1, description="Step of MoreRed's 1000; once for each geometry"
    )
    seed: Seed = Field(0, description="Random seed of the noise, used together with each molecule's id")


class SearchPlan(Settings):
    """How long conformers of a molecule are searched for, and how."""

    steps: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (20, 35, 60, 100),
        min_length=1,
        description="Step n of each replica, ascending; they stand for temperatures",
    )
    cycles: int = Field(40, ge=0, description="Largest number of moves of every replica")
    minimised: int = Field(
        10, ge=1, description="Largest number of the visited geometries that are minimised"
    )
    seconds: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Time limit for a molecule; results then depend on the machine. Default: none, and the "
        "result follows from the seed",
    )
    search_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the seconds left that goes to moves; minimisations use up the rest",
    )
    seed: Seed = Field(0, description="Random seed of the moves")
    conformers: Conformers | None = Field(
        None,
        description="Rows of each molecule: the lowest conformers, and skipped rows where fewer are found. "
        "Default: as many as are found",
    )

    @model_validator(mode="after")
    def _steps_ascend(self) -> Self:
        if sorted(set(self.steps)) != list(self.steps):
            raise ValueError(f"the replicas' steps ascend, not {list(self.steps)}")
        return self
