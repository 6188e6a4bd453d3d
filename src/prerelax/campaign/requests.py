"""Minutes and memory that a campaign's jobs ask for: `results/<campaign>/plan.json`, read in every job.

`prerelax plan --write` writes it. Standard library only, see `prerelax.campaign.sharding`.
"""

import json
from collections.abc import Callable, MutableMapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prerelax.errors import UserError
from prerelax.records.atomic_write import write_text_atomically

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class Requests:
    """What the jobs of each stage ask for at first; a job tried again asks for as many times more."""

    longest_minutes: int = 1440
    """that a job may ask for at most"""
    node_mem_mb: int = 128_000
    """that a job may ask for at most"""
    minutes: dict[str, list[int]] = field(default_factory=dict)
    """by stage (`starts/gfn2`, `relaxed/qm9/mmff94`, the folder in the results) and shard"""
    mem_mb: dict[str, int] = field(default_factory=dict)
    """by stage"""

    def minutes_of(self, stage: str, shard: str, attempt: int, otherwise: int) -> int:
        """Minutes for a job; `otherwise` where nothing was planned for it."""
        planned = self.minutes.get(stage, [])
        number = int(shard)
        first = planned[number] if number < len(planned) else max(planned, default=otherwise)
        return min(first * attempt, self.longest_minutes)

    def mem_mb_of(self, stage: str, attempt: int, otherwise: int) -> int:
        """Memory for a job; `otherwise` where nothing was planned for it."""
        return min(self.mem_mb.get(stage, otherwise) * attempt, self.node_mem_mb)

    def runtime(self, stage: str, otherwise: int) -> Callable[..., int]:
        """A rule's `runtime`, of the stage that the wildcards in `stage` make."""
        return lambda wildcards, attempt: self.minutes_of(
            stage.format_map(dict(wildcards.items())), wildcards.shard, attempt, otherwise
        )

    def memory(self, stage: str, otherwise: int) -> Callable[..., int]:
        """A rule's `mem_mb`."""
        return lambda wildcards, attempt: self.mem_mb_of(
            stage.format_map(dict(wildcards.items())), attempt, otherwise
        )

    def replace_profile(self, settings: MutableMapping[str, Any]) -> None:
        """Take minutes and memory of the relaxations out of a profile's `set-resources`, where planned here.

        What was planned for this campaign counts more than what a profile says for all of them. `settings`
        is Snakemake's `overwrite_resources`: for each rule a mapping of a class that is made from one.
        """
        planned = {"runtime"} if self.minutes else set()
        planned |= {"mem", "mem_mb", "mem_mib"} if self.mem_mb else set()
        for rule in ("prerelax_xtb", "relax_xtb", "relax_dft", "single_points", "sample_conformers"):
            if rule in settings:
                kept = {name: value for name, value in settings[rule].items() if name not in planned}
                settings[rule] = type(settings[rule])(kept)


def read_requests(folder: Path) -> Requests:
    """The plan in a campaign's results, an empty one where there is none. Raises UserError if damaged."""
    path = folder / PLAN_FILE
    try:
        return Requests(**json.loads(path.read_text()))
    except FileNotFoundError:
        return Requests()
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not a plan ({error}); delete it, or run `prerelax plan --write` again"
        ) from None


def write_requests(folder: Path, requests: Requests) -> None:
    """Write the plan into a campaign's results."""
    write_text_atomically(folder / PLAN_FILE, json.dumps(asdict(requests)) + "\n")
