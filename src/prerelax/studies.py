"""The part `studies` of a campaign config: what a diffusion model knows of the potential-energy surface.

Each study makes figures of its own from starts and targets of the campaign (docs/edm-qm9.md).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from prerelax.errors import UserError


class _Study(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def expanded(path: Any) -> Any:
    """A path of a config with `$NAME` and `${NAME:-default}` expanded. ValueError for one that is not set."""
    from prerelax.training.config import expand_path

    try:
        return expand_path(path) if isinstance(path, str) else path
    except UserError as error:
        raise ValueError(str(error)) from None


DataPath = Annotated[Path, BeforeValidator(expanded)]


class PathStudy(_Study):
    """Energies along the paths of `edm` starts at a target (paper E, figure 4)."""

    starts: list[str] = Field(min_length=1, description="starts of the sampler edm, drawn in one figure")
    molecules: int | None = Field(None, ge=1, description="the first so many that the target treats")
    every: int = Field(1, ge=1, description="each so-many-th geometry of a path is evaluated")
    zero: str | None = Field(None, description="the start whose minimum is the paper's zero: the data set's")


class AlignmentStudy(_Study):
    """Cosines between coming steps, forces and the direct way to the minimum (paper E, figure 6)."""

    starts: list[str] = Field(min_length=1, description="starts of the sampler edm, one column each")
    molecules: int | None = Field(None, ge=1, description="the first so many that the target treats")
    sums: list[Annotated[int, Field(ge=1)]] = Field([1, 10, 30], description="k: how many coming steps")


class ChainEnd(_Study):
    """Energies along the end of the generating chain, where elements are final (paper E, figure 3)."""

    target: str
    steps: int = Field(50, ge=1, description="the last steps, from where a molecule's elements are final")
    molecules: int = Field(20, ge=1)
    every: int = Field(1, ge=1)


class GenerationStudy(_Study):
    """Molecules from noise, and the phases they go through (paper E, figure 2)."""

    model: str = Field(description="a denoiser of this campaign, a shipped model or a model folder")
    sizes_like: DataPath = Field(description="npz set whose numbers of atoms the molecules have")
    molecules: int = Field(100, ge=1)
    seed: int = 0
    batch_size: int = Field(64, ge=1)
    end: ChainEnd | None = None


class Studies(_Study):
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

    def complaints(self, starts: Mapping[str, Any], targets: Mapping[str, Any]) -> Iterator[str]:
        """What names of starts and targets are wrong, one sentence each."""
        asked = [("paths", t) for t in self.paths] + [("alignment", t) for t in self.alignment]
        asked += [("training", t) for t in self.training] + [("outlier", t) for t in self.outlier]
        if self.generation and self.generation.end:
            asked.append(("generation.end", self.generation.end.target))
        for key, target in asked:
            if target not in targets:
                yield f"studies.{key}: {target} is not among the targets ({', '.join(targets)})"
        paths = [(target, study.starts) for target, study in self.paths.items()]
        paths += [(target, study.starts) for target, study in self.alignment.items()]
        for target, names in paths:
            for start in names:
                known = starts.get(start)
                if known is None or known.kind != "diffuse" or known.sampler not in (None, "edm"):
                    yield f"studies: {start} (target {target}) is not a start of the sampler edm"
                elif not _relaxed(targets.get(target), start):
                    yield f"studies: {start} is not among targets.{target}.starts"
        for target, names in self.outlier.items():
            for start in names:
                if start not in starts or not _relaxed(targets.get(target), start):
                    yield f"studies.outlier.{target}: {start} is not among the starts at {target}"
        for target, study in self.paths.items():
            if study.zero and (study.zero not in starts or not _relaxed(targets.get(target), study.zero)):
                yield f"studies.paths.{target}.zero: {study.zero} is not among the starts at {target}"
        if self.training and not any(getattr(start, "epoch", None) for start in starts.values()):
            yield "studies.training: no start has an epoch"

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


def _relaxed(target: Any, start: str) -> bool:
    return target is None or target.starts is None or start in target.starts
