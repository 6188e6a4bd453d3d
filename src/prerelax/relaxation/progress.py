"""Telling a person how far a shard is: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from prerelax.errors import several
from prerelax.molecules.status import Status


@dataclass(frozen=True)
class Progress:
    """One molecule finished."""

    done: int
    total: int
    """molecules to relax, those of the journal included"""
    id: str
    status: Status
    n_gradients: int
    wall_s: float
    message: str = ""


@dataclass(frozen=True)
class Listeners:
    """What is called as a shard moves on."""

    finished: Callable[[Progress], None]
    seen: Callable[[str], None] = lambda text: None
    """told one line on a molecule that is still being relaxed"""


@contextmanager
def console_progress(
    report: Callable[[Progress], None] | None, total: int, resumed: int
) -> Iterator[Listeners]:
    """The caller's own `report`, or one that writes to standard error; says first what the journal had."""
    if report is not None:
        yield Listeners(report)
        return
    if resumed:
        print(f"{resumed} of {total} molecules are in the journal already", file=sys.stderr, flush=True)
    if not sys.stderr.isatty():
        yield Listeners(_print_line, print_unless_terminal)
        return
    columns = (TextColumn("relax"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, TextColumn("{task.fields[seen]}", markup=False), console=Console(stderr=True)) as bar:
        task = bar.add_task("relax", total=total, completed=resumed, seen="")
        yield Listeners(
            lambda progress: bar.update(task, completed=progress.done, seen=""),
            lambda text: bar.update(task, seen=text),
        )


def print_unless_terminal(text: str) -> None:
    """A plain line on standard error; a terminal has the bar, which it would tear."""
    if not sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def _print_line(progress: Progress) -> None:
    message = f" {progress.message}" if progress.message else ""
    print(
        f"{progress.done}/{progress.total} {progress.id} {progress.status} "
        f"{several(progress.n_gradients, 'gradient')} {progress.wall_s:.1f} s{message}",
        file=sys.stderr,
        flush=True,
    )
