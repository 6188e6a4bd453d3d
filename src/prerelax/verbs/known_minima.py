"""Inputs whose minimum is known: minima displaced, and minima with noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

ShardIn = Annotated[Path, typer.Argument(metavar="IN.extxyz", help="A shard of minima.")]
ShardOut = Annotated[Path, typer.Argument(metavar="OUT.extxyz", help="The shard to write.")]


def displaced(
    shard: ShardIn,
    out: ShardOut,
    set_path: Annotated[Path, typer.Option("--set", help="npz of `displace` or `qm7x` with these minima.")],
    start: Annotated[str, typer.Option(help="Name of the start.")] = "displaced",
) -> None:
    """Three displacements of every minimum that a set has: smallest, middle and largest RMSD."""
    from prerelax.starts.known_minima import displaced_shard

    displaced_shard(shard, out, set_path, start)


def diffused(
    shard: ShardIn,
    out: ShardOut,
    steps: Annotated[list[int], typer.Option("--step", min=1, max=999, help="Of 1000; once for each.")],
    seed: Annotated[int, typer.Option(help="Of the noise, together with each molecule's id.")] = 0,
    start: Annotated[str, typer.Option(help="Name of the start.")] = "diffused",
) -> None:
    """Every minimum with the noise that MoreRed's schedule has at some steps."""
    from prerelax.starts.known_minima import diffused_shard

    diffused_shard(shard, out, steps, start, seed)


VERBS: dict[str, Callable[..., None]] = {"displaced": displaced, "diffused": diffused}
