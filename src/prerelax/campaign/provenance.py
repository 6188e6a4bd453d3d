"""The config that a campaign runs with, kept in its results with the versions of what reads it.

A job on a cluster starts by reading the workflow and its config again. It takes this copy, so that a config
edited while the campaign runs changes nothing before the next call of Snakemake.
"""

import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from prerelax.errors import UserError
from prerelax.records.atomic_write import write_text_atomically

CONFIG_COPY = "campaign.yaml"


def keep_config(config: Mapping[str, Any], folder: Path) -> None:
    """Write the config to `folder`, with versions in comments."""
    packages = ("prerelax", "snakemake")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    head = f"# The config of the last run: {', '.join(versions)}, Python {platform.python_version()}.\n"
    text = yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True)
    write_text_atomically(folder / CONFIG_COPY, head + text)


def config_of_running_campaign(config: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """The config that the campaign in `folder` runs with; `config` where none was kept.

    Raises UserError where the copy cannot be read.
    """
    path = folder / CONFIG_COPY
    try:
        kept = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        return config
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: damaged ({str(error).splitlines()[0]}); start Snakemake again") from None
    return kept if isinstance(kept, dict) else config


def _plain(value: Any) -> Any:
    """Mappings and lists of whatever class as YAML's own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
