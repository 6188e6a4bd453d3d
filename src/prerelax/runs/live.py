"""What a running campaign shows: one line for each stage, renewed on a terminal, now and then elsewhere."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TextIO

from prerelax.campaign.plan import duration
from prerelax.campaign.status import CampaignStatus, StageStatus
from prerelax.molecules.status import PROCEED

EVERY_S = 10.0
"""Between lines about a stage where there is no terminal."""


@dataclass
class Progress:
    """When each stage was first seen to be at work, so that its rate is that of this run."""

    began: dict[str, tuple[float, int]] = field(default_factory=dict)

    def lines(self, status: CampaignStatus, in_hand: bool = False) -> list[str]:
        """A line for each stage: molecules done of all, rate, time left, failures so far.

        With `in_hand` also how far the molecule is that moved last.
        """
        width = max((len(stage.stage.name) for stage in status.stages), default=0)
        n = status.n_molecules
        lines = [self._line(s, n * s.stage.conformers, width, status.now) for s in status.stages]
        seen = [f"  {s.in_hand[-1]}" if in_hand and s.in_hand else "" for s in status.stages]
        return [line + more for line, more in zip(lines, seen, strict=True)]

    def _line(self, stage: StageStatus, n_rows: int, width: int, now: float) -> str:
        done = min(stage.n_rows, n_rows)
        parts = [f"{stage.stage.name.ljust(width)}  {done}/{n_rows}"]
        if stage.stage.name not in self.began and (done or stage.n_begun):
            self.began[stage.stage.name] = (now, done)
        began, before = self.began.get(stage.stage.name, (now, done))
        if done < n_rows and done > before and now > began:
            rate = (done - before) / (now - began)
            parts.append(f"{rate * 60:.1f} a minute, {duration((n_rows - done) / rate)} left")
        failed = sum(n for name, n in stage.statuses.items() if name not in PROCEED and name != "skipped")
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{stage.statuses['skipped']} not kept"] if stage.stage.kind == "keep" else []
        parts += [f"{n} by a fallback"] if (n := stage.statuses["fallback"]) else []
        parts += [f"{n} not converged"] if (n := stage.statuses["not_converged"]) else []
        return "  ".join(parts)


class Screen:
    """Shows the lines: in place on a terminal, else each line that changed, at most every EVERY_S."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.shown: list[str] = []
        self.told: dict[int, tuple[str, float]] = {}

    @property
    def is_terminal(self) -> bool:
        return self.out.isatty()

    def show(self, lines: Sequence[str], last: bool = False) -> None:
        """Show these lines in place of those before."""
        if self.is_terminal:
            up = f"\x1b[{len(self.shown)}F" if self.shown else ""
            width = shutil.get_terminal_size().columns - 1  # a line that wraps would not be found again
            self.out.write(up + "".join(f"\x1b[2K{line[:width]}\n" for line in lines))
        else:
            now = time.monotonic()
            for place, line in enumerate(lines):
                text, moment = self.told.get(place, ("", 0.0))
                is_time = last or now - moment >= EVERY_S or _is_complete(line)
                if line != text and is_time and not _is_untouched(line):
                    self.told[place] = (line, now)
                    self.out.write(f"{line}\n")
        self.out.flush()
        self.shown = list(lines)


def _counts(line: str) -> tuple[str, str]:
    done, _, of = next(word for word in line.split() if "/" in word and word[0].isdigit()).partition("/")
    return done, of


def _is_complete(line: str) -> bool:
    done, of = _counts(line)
    return done == of


def _is_untouched(line: str) -> bool:
    return _counts(line)[0] == "0"
