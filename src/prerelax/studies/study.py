"""What the studies of a campaign have in common: their models, and complaints about names of the campaign."""

import math
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, RootModel

from prerelax.campaign.config import Campaign
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


class Study:
    """What stands under a key of a campaign's `studies`."""

    def complaints(self, campaign: Campaign) -> Iterator[str]:
        """What is wrong beside the rest of the campaign, one sentence each."""
        yield from ()

    def paths_evaluated(self) -> Iterator[PathsEvaluated]:
        """Paths of denoised starts whose energies and forces the study needs."""
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
