"""What the parts of a campaign's `studies` share."""

from pydantic import BaseModel, ConfigDict


class Study(BaseModel):
    """A part of the config that knows its keys and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
