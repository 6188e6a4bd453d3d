"""The config that a campaign runs with: kept in its results with the versions of what reads it.

A job on a cluster starts by reading the workflow and its config again. It takes the config from the call of
Snakemake that it belongs to, so that a config edited while the campaign runs changes nothing before the next.
"""

import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from prerelax.records.atomic_write import write_text_atomically

RUNNING = "PRERELAX_RUNNING"
"""The environment variable that tells jobs of the campaigns they belong to: JSON, by the campaigns' names."""


class Running(NamedTuple):
    """What a job takes from the call of Snakemake that it belongs to."""

    config: Mapping[str, object]
    n_rows: int | None
    """rows of the input; None where nobody counted them yet"""


def keep_config(config: Mapping[str, object], path: Path) -> None:
    """Write the config to `path`, with versions in comments."""
    packages = ("prerelax", "snakemake")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    head = f"# The config of the last run: {', '.join(versions)}, Python {platform.python_version()}.\n"
    text = yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True)
    write_text_atomically(path, head + text)


def hand_to_jobs(config: Mapping[str, object], n_rows: int) -> None:
    """Put the campaign into this process's environment, which Snakemake's jobs inherit."""
    campaigns = json.loads(os.environ.get(RUNNING, "{}"))
    campaigns[str(config.get("campaign"))] = (_plain(config), n_rows)
    os.environ[RUNNING] = json.dumps(campaigns)


def running_campaign(config: Mapping[str, object]) -> Running:
    """The campaign that this job belongs to, whatever its config's file says by now.

    Several campaigns run in one call as modules of a workflow: there the name in `config` tells which.
    """
    campaigns: dict[str, tuple[dict[str, object], int]] = json.loads(os.environ[RUNNING])
    only, *others = campaigns.values()
    return Running(*(campaigns[str(config.get("campaign"))] if others else only))


def _plain(value: object) -> object:
    """Mappings and lists of whatever class as YAML's own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
