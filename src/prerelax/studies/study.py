"""What the parts of a campaign's `studies` share."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from prerelax.errors import UserError


class Study(BaseModel):
    """A part of the config that knows its keys and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def expanded(path: Any) -> Any:
    """A path of a config with `$NAME` and `${NAME:-default}` expanded. ValueError for one that is not set."""
    from prerelax.training.config import expand_path

    try:
        return expand_path(path) if isinstance(path, str) else path
    except UserError as error:
        raise ValueError(str(error)) from None


DataPath = Annotated[Path, BeforeValidator(expanded)]
