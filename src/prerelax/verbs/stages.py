"""Verbs of denoisers in stages: what one stage leaves for the next to learn, and the model of all."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer


def denoise_starts(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="A shipped denoiser's name or a folder.")],
    inp: Annotated[Path, typer.Argument(metavar="IN.npz", help="A training set with starts.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The same, its starts denoised.")],
    calls: Annotated[int | None, typer.Option(min=1, help="Of sampler few; default: the model's.")] = None,
) -> None:
    """Make the training set of a model's next stage: the starts as the model leaves them."""
    from prerelax.diffusion.staged import denoise_starts

    kept, left_out = denoise_starts(name, inp, out, calls)
    typer.echo(f"{kept} molecules, {left_out} left out")


def join(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The model folder to write.")],
    stages: Annotated[list[str], typer.Argument(metavar="MODEL...", help="First to last: names, folders.")],
) -> None:
    """Make one model of stages, each called once, at the step that it names itself."""
    from prerelax.diffusion.staged import join_stages

    joined = join_stages(stages, out)
    typer.echo(
        f"{out}: {joined.sampler_defaults['calls']} calls from step {joined.sampler_defaults['steps']}"
    )


VERBS: dict[str, Callable[..., None]] = {"denoise-starts": denoise_starts, "join": join}
