"""Pre-relax molecules with a diffusion model, then relax them at xTB or DFT.

Every rule of the workflow calls exactly one of these verbs, and so can a person.

Exit status 0 when the shard was processed, even if rows failed; 2 for a wrong call, config or file.
"""

import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Annotated

import typer

from prerelax.errors import UserError
from prerelax.verbs import campaigns, chain, conformers, data, models
from prerelax.verbs.groups import Verb, Verbs
from prerelax.verbs.study import study_app

TRAINING = "Denoisers and data"
NO_MEMORY = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory")
"""What the loader of shared libraries says under a limit of memory."""


app = typer.Typer(cls=Verbs, no_args_is_help=True, add_completion=False, help=__doc__.splitlines()[0])


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"prerelax {version('prerelax')}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _add(verbs: Mapping[str, Callable[..., None]], panel: str | None = None) -> None:
    for name, verb in verbs.items():
        app.command(name, cls=Verb, rich_help_panel=panel)(verb)


def _add_group(name: str, verbs: Mapping[str, Callable[..., None]], text: str, panel: str) -> None:
    group = typer.Typer(cls=Verbs, no_args_is_help=True, help=text)
    for verb_name, verb in verbs.items():
        group.command(verb_name, cls=Verb)(verb)
    app.add_typer(group, name=name, rich_help_panel=panel)


_add(chain.VERBS, "The chain")
_add(campaigns.VERBS, "Campaigns")
_add({"train": models.train, "adapt": models.adapt}, TRAINING)
_add_group("models", models.VERBS, "Denoisers: list, show, evaluate, calibrate, import.", TRAINING)
_add_group("data", data.VERBS, "Training sets, published or made, and inputs from them.", TRAINING)
_add(conformers.VERBS | {"energies": chain.energies}, "Other calculations")
app.add_typer(study_app, name="study", rich_help_panel="Studies")


def main() -> None:
    """Run a verb; a mistake of the user's is one sentence and exit status 2, without a traceback."""
    # Waiting threads that spin make a busy machine many times slower. OpenMP reads this when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        app()
    except UserError as error:
        _refuse(str(error))
    except OSError as error:
        if error.errno is None:
            raise
        place = f"{error.filename}: " if error.filename else ""
        _refuse(f"{place}{error.strerror}; nothing finished is lost: run again once that is mended")
    except MemoryError:
        _refuse("too little memory; nothing finished is lost: run again with more")
    except ImportError as error:
        if not any(words in str(error) for words in NO_MEMORY):
            raise
        _refuse(f"too little memory to load a library ({error}); run again with more")


def _refuse(sentence: str) -> None:
    typer.echo(f"prerelax: {sentence}", err=True)
    sys.exit(2)
