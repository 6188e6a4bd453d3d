"""The part `studies` of a campaign config: what a diffusion model knows of the potential-energy surface.

Each study makes figures of its own from starts and targets of the campaign (docs/guide/studies.md).
"""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field, ValidationError, create_model

from prerelax.campaign.config import Campaign, ConfigError, DiffuseStart
from prerelax.campaign.data_path import DataPath
from prerelax.settings import sentences
from prerelax.studies.boltzmann.config import BoltzmannStudy
from prerelax.studies.from_noise.config import FromNoiseStudy, ScheduleStudy, ShellStudy
from prerelax.studies.relaxation.config import RelaxationStudy
from prerelax.studies.study import Study


class PathStudy(Study):
    """Energies along the paths of `edm` starts at a target (paper E, figure 4)."""

    starts: list[str] = Field(min_length=1, description="starts of the sampler edm, drawn in one figure")
    molecules: int | None = Field(None, ge=1, description="the first so many that the target treats")
    every: int = Field(1, ge=1, description="each so-many-th geometry of a path is evaluated")
    zero: str | None = Field(None, description="the start whose minimum is the paper's zero: the data set's")


class AlignmentStudy(Study):
    """Cosines between coming steps, forces and the direct way to the minimum (paper E, figure 6)."""

    starts: list[str] = Field(min_length=1, description="starts of the sampler edm, one column each")
    molecules: int | None = Field(None, ge=1, description="the first so many that the target treats")
    sums: list[Annotated[int, Field(ge=1)]] = Field([1, 10, 30], description="k: how many coming steps")


class ChainEnd(Study):
    """Energies along the end of the generating chain, where elements are final (paper E, figure 3)."""

    target: str
    steps: int = Field(50, ge=1, description="the last steps, from where a molecule's elements are final")
    molecules: int = Field(20, ge=1)
    every: int = Field(1, ge=1)


class GenerationStudy(Study):
    """Molecules from noise, and the phases they go through (paper E, figure 2)."""

    model: str = Field(description="a denoiser of this campaign, a shipped model or a model folder")
    sizes_like: DataPath = Field(description="npz set whose numbers of atoms the molecules have")
    molecules: int = Field(100, ge=1)
    seed: int = 0
    batch_size: int = Field(64, ge=1)
    end: ChainEnd | None = None


class Studies(Study):
    """All studies of a campaign; targets are keys or values."""

    paths: dict[str, PathStudy] = Field(default_factory=dict, description="by target")
    alignment: dict[str, AlignmentStudy] = Field(default_factory=dict, description="by target")
    training: list[str] = Field(
        default_factory=list, description="targets whose speedup is followed over starts with an epoch"
    )
    outlier: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(
        default_factory=dict, description="starts among which the largest energy delta is drawn, by target"
    )
    generation: GenerationStudy | None = None
    boltzmann: BoltzmannStudy | None = None
    relaxation: RelaxationStudy | None = None
    from_noise: FromNoiseStudy | None = None
    schedules: ScheduleStudy | None = None
    shells: ShellStudy | None = None

    def complaints(self, campaign: Campaign) -> Iterator[str]:
        """What names of starts and targets are wrong, one sentence each."""
        starts, targets = campaign.starts, campaign.targets
        for where, target, names, of_edm in self._uses():
            if target not in targets:
                yield f"studies.{where}: {target} is not among the targets ({', '.join(targets)})"
                continue
            treated = campaign.starts_of(target)
            for name in names:
                start = starts.get(name)
                if start is None or name not in treated:
                    yield f"studies.{where}: {name} is not among the starts at {target}"
                elif of_edm and (not isinstance(start, DiffuseStart) or start.sampler not in (None, "edm")):
                    yield f"studies.{where}: {name} is not a start of the sampler edm"
                elif of_edm and isinstance(start, DiffuseStart) and start.fallback != "none":
                    yield f"studies.{where}: {name} needs `fallback: none`; what falls back has no path"
        if self.training and not any(getattr(start, "epoch", None) for start in starts.values()):
            yield "studies.training: no start has an epoch"
        if self.boltzmann and self.boltzmann.minima not in ("rdkit", *starts):
            yield f"studies.boltzmann.minima: {self.boltzmann.minima} is not among the starts"
        if self.relaxation:
            yield from self.relaxation.complaints(starts, campaign.denoisers)

    def _uses(self) -> Iterator[tuple[str, str, list[str], bool]]:
        """Where targets are named: the key, the target, its starts, whether they are of the sampler edm."""
        for target, paths in self.paths.items():
            yield f"paths.{target}", target, paths.starts, True
            if paths.zero:
                yield f"paths.{target}.zero", target, [paths.zero], False
        for target, alignment in self.alignment.items():
            yield f"alignment.{target}", target, alignment.starts, True
        for target, names in self.outlier.items():
            yield f"outlier.{target}", target, names, False
        for target in self.training:
            yield "training", target, [], False
        if self.generation and self.generation.end:
            yield "generation.end", self.generation.end.target, [], False
        if self.boltzmann:
            yield "boltzmann", self.boltzmann.target, [], False

    def molecules_evaluated(self, target: str, start: str) -> int | None:
        """How many molecules' paths from a start are evaluated at a target; None: all."""
        studies = (self.paths.get(target), self.alignment.get(target))
        limits = [study.molecules for study in studies if study and start in study.starts]
        return None if None in limits else max((n for n in limits if n), default=None)

    def every(self, target: str, start: str) -> int:
        """Each so-many-th geometry of a start's paths is evaluated at a target; alignment needs all."""
        alignment = self.alignment.get(target)
        if alignment and start in alignment.starts:
            return 1
        return self.paths[target].every


def load_studies(campaign: Campaign) -> Studies:
    """The studies of a campaign. Raises ConfigError with one sentence for each thing that is wrong."""
    try:
        studies = Studies.model_validate(campaign.studies)
    except ValidationError as error:
        raise ConfigError(sentences(error, Studies, campaign.studies, "studies")) from None
    for complaint in studies.complaints(campaign):
        raise ConfigError(complaint)
    return studies


def json_schema() -> dict[str, Any]:
    """The JSON schema of a campaign config with its studies, for editors."""
    whole = create_model(
        "Campaign", __base__=Campaign, __doc__=Campaign.__doc__, studies=(Studies, Studies())
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole.model_json_schema()}
