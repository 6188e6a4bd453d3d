"""How the starts are made: options that the command line and a campaign's YAML share. Imports no torch."""

from typing import Literal

from pydantic import Field

from prerelax.diffusion.options import SamplerOptions
from prerelax.settings import Settings

ForceField = Literal["mmff94", "uff", "mmff94-openbabel"]
Fallback = Literal["gfn2", "none"]

DEFAULT_MODEL = "edm-qm9-small"


class ForcefieldOptions(Settings):
    """How a force field minimises the embedded geometries."""

    method: ForceField = Field(
        "mmff94", description="Force field; mmff94-openbabel needs the extra `openbabel`"
    )
    max_iterations: int | None = Field(
        None, ge=1, description="Largest number of iterations; the paper's is 200. Default: until converged"
    )


class DiffuseOptions(SamplerOptions):
    """How a denoiser makes a start."""

    model: str = Field(
        DEFAULT_MODEL, min_length=1, description="Name of a shipped denoiser, or a model folder"
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
