"""What the sections of a campaign's config share: names, and how a part is handed on to a verb."""

from typing import Annotated

from pydantic import BaseModel, Field

from prerelax.errors import UserError

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)]
EMBEDDING = "rdkit"
"""The start that every campaign has: the embedded geometries in molecules/."""


class ConfigError(UserError):
    """A config that must not start a campaign; the message names the key and what to write instead."""


def handed_on(part: BaseModel, *verbs: type[BaseModel]) -> str:
    """A part of a campaign as the JSON that a verb's `--settings` takes.

    It holds the fields of the verb's models, which the part extends, as far as they differ from the defaults:
    Snakemake runs a job again when this text changes.
    """
    fields = {name for verb in verbs for name in verb.model_fields}
    return part.model_dump_json(include=fields, exclude_defaults=True)
