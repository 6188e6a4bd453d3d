"""What a Snakemake profile says about machines: threads of the rules, jobs at once, the limits of a job."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml
import yte

from prerelax.errors import UserError


@dataclass(frozen=True)
class Profile:
    """Of a folder with a config.yaml as `snakemake --profile` takes it; None where it says nothing."""

    threads: dict[str, int] = field(default_factory=dict)
    """by rule"""
    groups: dict[str, str] = field(default_factory=dict)
    """by rule: those of one group go to the scheduler as one job where one is made from the other"""
    jobs: int | None = None
    longest_minutes: int | None = None
    """its variable of this name"""
    node_mem_mb: int | None = None
    """its variable of this name"""


def read_profile(folder: Path) -> Profile:
    """The profile in a folder. Raises UserError where it is missing or no profile."""
    path = folder / "config.yaml"
    try:
        text = path.read_text()
        said = yte.process_yaml(text, require_use_yte=True)
        variables = (yaml.safe_load(text) or {}).get("__variables__", {})
        threads = {str(rule): int(n) for rule, n in said.get("set-threads", {}).items()}
        groups = said.get("groups", {})
        pairs = groups.items() if isinstance(groups, dict) else (text.split("=", 1) for text in groups)
        of_rule = {str(rule): str(group) for rule, group in pairs}
    except FileNotFoundError:
        raise UserError(f"{path}: no such profile") from None
    except Exception as error:  # a profile's expressions raise whatever they like
        raise UserError(f"{path}: not a profile ({' '.join(str(error).split())})") from None
    jobs = said.get("jobs")
    return Profile(
        threads,
        of_rule,
        jobs if isinstance(jobs, int) else None,
        _whole(variables, "longest_minutes"),
        _whole(variables, "node_mem_mb"),
    )


def _whole(variables: dict[str, object], name: str) -> int | None:
    value = variables.get(name)
    return value if isinstance(value, int) else None
