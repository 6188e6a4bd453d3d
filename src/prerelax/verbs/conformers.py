"""`prerelax sample`: conformers by replica exchange between diffusion steps (docs/guide/conformers.md)."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prerelax.diffusion.options import Device
from prerelax.errors import several
from prerelax.molecules.status import counted
from prerelax.starts.options import SearchPlan
from prerelax.verbs.options import FromSettings, takes_models

if TYPE_CHECKING:
    from prerelax.starts.conformers.sample_shard import Outcome


PLANNED_IN_SETTINGS = frozenset({"steps", "cycles", "minimised", "search_share", "conformers"})


@takes_models
def sample(
    inp: Annotated[Path, typer.Argument(metavar="IN.extxyz", help="A shard: one geometry of each molecule.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.extxyz", help="Conformers, lowest energy first.")],
    plan: Annotated[SearchPlan, FromSettings(without=PLANNED_IN_SETTINGS)],
    model: Annotated[str, typer.Option(help="Name of an EDM, or its folder")] = "relaxer-qm9-small",
    workers: Annotated[int, typer.Option(min=1, help="GFN2-xTB processes side by side")] = 1,
    device: Annotated[Device, typer.Option(help="Where the network runs")] = "auto",
    start: Annotated[str | None, typer.Option(help="Write the result as a start of this name")] = None,
) -> None:
    """Find conformers of every molecule and their GFN2-xTB energies; resumes where it was stopped."""
    from prerelax.starts.conformers.sample_shard import sample_shard

    statuses = sample_shard(
        inp,
        out,
        model=model,
        plan=plan,
        workers=workers,
        device=device,
        start=start,
        report=lambda outcome: typer.echo(_words(outcome), err=True),
    )
    typer.echo(counted(statuses.elements(), "no molecule"))


def _words(outcome: "Outcome") -> str:
    words = f"{outcome.record.id} {outcome.status}"
    if outcome.message:
        words += f" ({outcome.message})"
    if not outcome.conformers:
        return words
    counts = outcome.counts
    lowest = outcome.conformers[0].energy_ev
    words += (
        f": {several(len(outcome.conformers), 'conformer')}, the lowest at {lowest:.4f} eV; "
        f"{counts.get('moves', 0)} moves "
        f"({counts.get('broken', 0)} broken), {counts['gradients']} gradients, {outcome.wall_s:.1f} s"
    )
    if outcome.accepted:
        words += f"; accepted {_percent(outcome.accepted)}, exchanged {_percent(outcome.exchanged)}"
    return words


def _percent(shares: list[float]) -> str:
    return "/".join(f"{100 * share:.0f}" for share in shares) + " %"


VERBS: dict[str, Callable[..., None]] = {"sample": sample}
