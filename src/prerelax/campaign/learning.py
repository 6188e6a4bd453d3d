"""What the denoisers of a campaign learn from: which jobs relax it, and which models come of it.

All of it is known when the workflow is parsed. Molecules that are learned from come from a few shards, spread
over the campaign, so that no more jobs than these have to do with them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from prerelax.campaign.config import Campaign
from prerelax.campaign.layout import Layout
from prerelax.campaign.sharding import Shard, shard_name
from prerelax.campaign.starts import Adapt, DiffuseStart
from prerelax.engines import engine_named, is_cheap
from prerelax.errors import UserError

FEWEST_SHARDS = 20
ROWS_PER_MOLECULE = 3
"""In the shards that molecules are drawn from, for each that is drawn."""
NOT_LEARNED_FROM = "not among the molecules that this round of `adapt` learns from"


@dataclass(frozen=True)
class Lesson:
    """One training of `prerelax adapt` in a campaign."""

    start: str
    model: str
    """its folder among the adapted models: the start's name, with `.60` where others are to follow"""
    adapt: Adapt
    rounds: list[dict[str, list[int]]]
    """molecules: of each round, the last one being this lesson's own, rows by shard, counted within it"""

    @property
    def after(self) -> int:
        """Molecules that are learned from by now."""
        return self.adapt.learned_from[len(self.rounds) - 1]

    def relaxed(self, layout: Layout) -> list[str]:
        """The relaxed shards that it learns from."""
        if self.adapt.on == "fragments":
            return [layout.pilot(self.start, "relaxed", str(part)) for part in range(self.adapt.n_jobs)]
        return self._of_rounds(layout, "relaxed", 0)

    def trajectories(self, layout: Layout) -> list[str]:
        """The same with every gradient."""
        if self.adapt.on == "fragments":
            return [layout.pilot(self.start, "paths", str(part)) for part in range(self.adapt.n_jobs)]
        return self._of_rounds(layout, "paths", 0)

    def begun_at(self, layout: Layout) -> list[str]:
        """The force field's geometries of molecules that were relaxed from what was learned before."""
        return self._of_rounds(layout, "forcefield", 1)

    def _of_rounds(self, layout: Layout, stage: str, first: int) -> list[str]:
        numbered = list(zip(self.adapt.learned_from, self.rounds, strict=False))[first:]
        stages = [(f"{after}/{stage}", name) for after, rows in numbered for name in rows]
        return [layout.pilot(self.start, of_round, name) for of_round, name in stages]


def lessons(campaign: Campaign, shards: Sequence[Shard]) -> dict[str, Lesson]:
    """All trainings by their models' names. Raises UserError for more molecules than a campaign has."""
    found: dict[str, Lesson] = {}
    for name, start in campaign.starts.items():
        if not isinstance(start, DiffuseStart) or start.adapt is None:
            continue
        adapt = start.adapt
        if adapt.on == "fragments":
            found[name] = Lesson(name, name, adapt, [])
            continue
        n_rows = shards[-1].last if shards else 0
        wanted = adapt.learned_from[-1]
        if wanted > n_rows:
            raise UserError(
                f"starts.{name}.adapt: {wanted} molecules to learn from, and the campaign has {n_rows}; "
                f"lower {'rounds' if adapt.rounds else 'count'}, or take fragments"
            )
        rounds = rows_of_rounds(shards, adapt.learned_from, campaign.seed)
        for k, after in enumerate(adapt.learned_from, start=1):
            model = name if k == len(rounds) else f"{name}.{after}"
            found[model] = Lesson(name, model, adapt, rounds[:k])
    return found


def teaches_guide(campaign: Campaign, start: str, target: str) -> bool:
    """Whether the pilot of a start's denoiser teaches two-level of the target's level too."""
    made, at = campaign.starts.get(start), campaign.targets[target]
    if not isinstance(made, DiffuseStart) or made.adapt is None or not made.adapt.guide:
        return False
    guided = at.optimizer == "two-level" or (at.optimizer is None and not is_cheap(at))
    named = at.cheap_level in ("auto", "gfn1", "gfn2", "mmff94") and not engine_named(at.engine).in_torch
    return guided and named and at.learned is None and made.adapt.target == target


def spread(n_shards: int, fewest: int = FEWEST_SHARDS) -> list[int]:
    """Numbers of `fewest` shards, evenly spread; all where there are no more."""
    n = min(fewest, n_shards)
    return [place * n_shards // n for place in range(n)]


def rows_of_rounds(shards: Sequence[Shard], after: Sequence[int], seed: int) -> list[dict[str, list[int]]]:
    """For each round the rows that it adds, counted within their shards, by these shards' names.

    `after`: molecules after each round. They are drawn at random from shards spread over the campaign.
    """
    mean = shards[-1].last / len(shards)
    chosen = spread(len(shards), max(FEWEST_SHARDS, -int(-ROWS_PER_MOLECULE * after[-1] // mean)))

    def place(row: tuple[int, int]) -> bytes:
        return hashlib.sha256(f"{seed}:adapt:{row[0]}:{row[1]}".encode()).digest()

    rows = sorted(((k, row) for k in chosen for row in range(shards[k].n_rows)), key=place)
    found: list[dict[str, list[int]]] = []
    for first, last in pairwise([0, *after]):
        of_round: dict[str, list[int]] = {}
        for number, row in sorted(rows[first:last]):
            of_round.setdefault(shard_name(number), []).append(row)
        found.append(of_round)
    return found
