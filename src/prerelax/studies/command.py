"""What the commands `prerelax study NAME` share: files, and settings as JSON of a typed model."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer
import yaml
from pydantic import BaseModel, ValidationError

from prerelax.errors import UserError
from prerelax.settings import sentences

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
    typer.Option("--settings", metavar="JSON", help="Settings as JSON or YAML; the names are the config's."),
]

Model = TypeVar("Model", bound=BaseModel)


def read_settings(kind: type[Model], text: str) -> Model:
    """The settings that `--settings` gives. Raises UserError with one sentence for each thing wrong."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--settings: not JSON or YAML ({' '.join(str(error).split())})") from None
    if not isinstance(raw, dict):
        raise UserError(f"--settings: a mapping with the keys {', '.join(kind.model_fields)} is needed")
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"--settings: {sentences(error, kind, raw)}") from None


def files_of(step: str, files: list[Path], wanted: str) -> list[Path]:
    """The files of a step, as many as `wanted` names: `IN.npz OUT.csv`, or `IN.npz... OUT.csv` for more.

    Raises UserError for another number.
    """
    names = wanted.split()
    if len(files) < len(names) or (len(files) > len(names) and "..." not in wanted):
        raise UserError(f"{step} takes {wanted}, not {len(files)} files")
    return files
