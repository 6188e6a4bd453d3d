"""Paths of data in a config: `$NAME` and `${NAME:-default}` of the environment stand in them."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from prerelax.errors import UserError
from prerelax.settings import expand_path


def expanded(path: object) -> object:
    """A path of a config with what it names of the environment. ValueError for a name that is not set."""
    try:
        return expand_path(path) if isinstance(path, str) else path
    except UserError as error:
        raise ValueError(str(error)) from None


DataPath = Annotated[Path, BeforeValidator(expanded)]
