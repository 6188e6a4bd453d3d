"""What the commands `prerelax study NAME` share: files, and settings as JSON of a typed model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from pydantic import BaseModel

from prerelax.errors import UserError, several
from prerelax.settings import model_from, settings_given

if TYPE_CHECKING:
    from matplotlib.figure import Figure as DrawnFigure
    from pandas import DataFrame

Results = Annotated[Path, typer.Argument(metavar="RESULTS", help="The campaign's folder, results/NAME.")]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="Name of the target.")]
Figure = Annotated[
    Path,
    typer.Argument(metavar="FIGURE", help="Path of the figure without .png; .pdf and .csv lie beside it."),
]
Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="What the step reads, then what it writes.")
]
Settings = Annotated[
    str,
    typer.Option(
        "--settings",
        metavar="JSON",
        help="Settings as JSON, or a .json or .yaml file; keys as in the campaign's config.",
    ),
]

Model = TypeVar("Model", bound=BaseModel)


def read_settings(kind: type[Model], text: str) -> Model:
    """The settings that `--settings` gives. Raises UserError with one sentence for each thing wrong."""
    return model_from(kind, settings_given(text), "--settings: ")


def files_of(step: str, files: list[Path], wanted: str) -> list[Path]:
    """The files of a step, as many as `wanted` names: `IN.npz OUT.csv`, or `IN.npz... OUT.csv` for more.

    Raises UserError for another number.
    """
    names = wanted.split()
    if len(files) < len(names) or (len(files) > len(names) and "..." not in wanted):
        raise UserError(f"{step} takes {wanted}, not {several(len(files), 'file')}")
    return files


def save_and_quote(figure: "DrawnFigure", data: "DataFrame", numbers: "DataFrame", base: Path) -> None:
    """Write a figure, the rows behind it and the numbers to be quoted under the path `base`; print these."""
    from prerelax.comparison.figures.style import save_with_numbers

    typer.echo(save_with_numbers(figure, data, numbers, base))
