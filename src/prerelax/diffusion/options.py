"""The options of samplers, declared once for Python, the command line and a campaign's YAML.

Imports no torch, so that `prerelax --help` and the Snakefile's parse stay quick.
"""

from typing import Literal

from pydantic import Field

from prerelax.settings import Settings

Sampler = Literal["edm", "few", "ddpm", "itp", "as", "jt"]
MORERED_SAMPLERS = ("jt", "as", "itp", "ddpm")
Device = Literal["auto", "cpu", "cuda"]


class SamplerOptions(Settings):
    """How geometries are denoised. Options that are None follow the model's own defaults."""

    sampler: Sampler | None = Field(
        None,
        description="edm: the last n steps of the reverse diffusion; few: a deterministic tail of a few "
        "network calls; ddpm, itp, as, jt: MoreRed's samplers. Default: the model's",
    )
    steps: int | None = Field(
        None,
        ge=1,
        description="Step n at which the reverse diffusion is entered; the paper's are 20, 30 and 50. "
        "Default: the model's",
    )
    calls: int | None = Field(
        None, ge=1, description="Network calls of the sampler few. Default: the model's"
    )
    max_iterations: int | None = Field(
        None,
        ge=1,
        description="Largest number of iterations of itp, as and jt. Default: the model's, or 1000",
    )
    time_model: str | None = Field(
        None,
        min_length=1,
        description="Model that predicts the time for as and itp: a name or a folder. "
        "Default: the folder `time` inside the model's",
    )
    fixed_types: bool = Field(
        False, description="Keep the elements fixed where the model diffuses them along with the positions"
    )
    noise_free: bool = Field(
        False, description="Take the mean of every reverse step instead of drawing noise"
    )
    seed: int = Field(0, ge=0, description="Random seed of the noise, used together with each molecule's id")
    batch_size: int = Field(128, ge=1, description="Molecules in one network call")
    device: Device = Field("auto", description="Where the network runs; auto: on the GPU if there is one")
