"""What the studies of a campaign have in common: their models, and complaints about names of the campaign."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Generic, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, RootModel

from prerelax.campaign.config import Campaign
from prerelax.campaign.layout import Layout
from prerelax.campaign.starts import DiffuseStart


def as_json(settings: BaseModel) -> str:
    """Settings as a rule of the workflow hands them to a command."""
    return settings.model_dump_json(exclude_none=True)


class PathsEvaluated(NamedTuple):
    """Paths of a start whose energies a study needs at a target."""

    target: str
    start: str
    molecules: int | None
    """of the first molecules; None: of all"""
    every: int
    """only every N-th geometry of a path"""


Model = TypeVar("Model", bound=BaseModel)


def part(kind: type[Model], /, *parts: BaseModel, **more: object) -> Model:
    """What a step of a study is told: the fields that it shares with `parts`, and `more`."""
    said = {name: value for each in parts for name, value in vars(each).items() if name in kind.model_fields}
    return kind.model_validate(said | more)


@dataclass(frozen=True)
class StudyFigure:
    """A figure of a study: `figures/NAME.png`, .pdf and .csv, and the command that draws it."""

    name: str
    words: list[str]
    """of the command after `prerelax study`, without the figure's path, which comes last"""
    inputs: Sequence[str | Path]
    settings: BaseModel | None
    label: str
    """the figure's name in the report"""
    caption: str
    """a file of the report, in the folder of the studies"""
    category: str = "What the model knows"
    more: list[str] = field(default_factory=lambda: ["_numbers.csv"])
    """endings of further files"""
    threads: int = 1


@dataclass(frozen=True)
class StudyFiles:
    """What the studies of a campaign find among its results."""

    campaign: Campaign
    layout: Layout
    shards: list[str]
    paths: Mapping[tuple[str, str], PathsEvaluated]
    """by target and start (`paths_evaluated`)"""

    @property
    def results(self) -> str:
        return self.layout.results

    def relaxed(self, target: str, starts: Iterable[str]) -> list[str]:
        """Relaxations of these starts at a target."""
        return [self.layout.relaxed(target, *each) for each in product(starts, self.shards)]

    def evaluated(self, target: str, starts: Iterable[str]) -> list[str]:
        """Evaluated paths of these starts, and the minima that they end in."""
        files = []
        for start in starts:
            n = self.paths[target, start].molecules
            shards = self.shards if n is None else self.shards[: -(-n // self.campaign.shard_size)]
            files += [self.layout.evaluated(target, start, shard) for shard in shards]
            files += [self.layout.relaxed(target, start, shard) for shard in shards]
        return files

    def molecules_evaluated(self, target: str, start: str, shard: str) -> int:
        """How many molecules of a shard have their paths evaluated."""
        size, molecules = self.campaign.shard_size, self.paths[target, start].molecules
        return size if molecules is None else min(molecules - self.shards.index(shard) * size, size)

    def weights(self, model: str) -> list[str]:
        """What a model's user waits for when the campaign itself trains it."""
        return [self.layout.weights(model)] if model in self.campaign.denoisers else []

    def model(self, name: str) -> str:
        """A model's name, or its folder where the campaign itself trains it."""
        return self.layout.model(name) if name in self.campaign.denoisers else name


class Study:
    """What stands under a key of a campaign's `studies`."""

    def complaints(self, campaign: Campaign) -> Iterator[str]:
        """What is wrong beside the rest of the campaign, one sentence each."""
        yield from ()

    def in_small(self, n: int) -> Self:
        """The study for `n` molecules, with little of everything: whether it runs (`limit` of a campaign)."""
        return self

    def paths_evaluated(self) -> Iterator[PathsEvaluated]:
        """Paths of denoised starts whose energies and forces the study needs."""
        yield from ()

    def figures(self, files: StudyFiles) -> Iterator[StudyFigure]:
        """Figures that a command draws from files of the campaign."""
        yield from ()


def paths_evaluated(studies: Iterable[Study]) -> dict[tuple[str, str], PathsEvaluated]:
    """By target and start the paths that all studies together need: one evaluation serves them all."""
    needed: dict[tuple[str, str], PathsEvaluated] = {}
    for paths in (each for study in studies for each in study.paths_evaluated()):
        other = needed.setdefault((paths.target, paths.start), paths)
        limits = (other.molecules, paths.molecules)
        needed[paths.target, paths.start] = paths._replace(
            molecules=None if None in limits else max(n for n in limits if n),
            every=math.gcd(other.every, paths.every),
        )
    return needed


SPARSE = 25
"""Geometries of a path from one that is evaluated in small to the next."""


def at_most(n: int, wanted: int | None) -> int:
    """A number of molecules, cut; None stands for all."""
    return n if wanted is None else min(n, wanted)


Value = TypeVar("Value")


class ByTarget(RootModel[dict[str, Value]], Study, Generic[Value]):
    """A study made at several targets, with settings for each."""

    model_config = ConfigDict(frozen=True)

    def __getitem__(self, target: str) -> Value:
        return self.root[target]

    @property
    def targets(self) -> list[str]:
        return list(self.root)


def target_complaints(
    campaign: Campaign, key: str, target: str, starts: Iterable[str] = (), *, of_edm: bool = False
) -> Iterator[str]:
    """Complaints about a target, and about starts that are not relaxed there.

    With `of_edm` the starts must also be of the sampler edm and never fall back, so that each has its path.
    `key` is where they are named, below `studies`.
    """
    if target not in campaign.targets:
        yield f"studies.{key}: {target} is not among the targets ({', '.join(campaign.targets)})"
        return
    for name in starts:
        if name not in campaign.starts_of(target):
            yield f"studies.{key}: {name} is not among the starts at {target}"
            continue
        start = campaign.starts[name]
        if not of_edm:
            continue
        if not isinstance(start, DiffuseStart) or start.sampler not in (None, "edm"):
            yield f"studies.{key}: {name} is not a start of the sampler edm"
        elif start.fallback != "none":
            yield f"studies.{key}: {name} needs `fallback: none`; what falls back has no path"
