"""Names for people: what starts, optimizers and levels are called in figures and tables, from the config."""

from collections import Counter
from pathlib import Path

from prerelax.campaign.config import Campaign
from prerelax.campaign.starts import (
    DiffusedStart,
    DiffuseStart,
    DisplacedStart,
    EmbedAgainStart,
    EmbedStart,
    ForcefieldStart,
    RelaxStart,
    SampleStart,
    Start,
)

OPTIMIZERS = {
    "bfgs": "BFGS",
    "lbfgs": "L-BFGS",
    "bfgs-linesearch": "BFGS with line search",
    "fire": "FIRE",
    "bfgs-hessian": "BFGS from a cheap Hessian",
    "two-level": "two-level",
    "sella": "Sella",
    "geometric": "geomeTRIC",
    "pyberny": "pyberny",
}
_METHODS = {"qm9": "B3LYP/6-31G(2df,p)"}
_SAMPLERS = {"edm": "EDM", "ddpm": "DDPM", "itp": "MoreRed-ITP", "as": "MoreRed-AS", "jt": "MoreRed-JT"}


def start_names(campaign: Campaign) -> dict[str, str]:
    """The starts of a campaign by their keys; where two would be called the same, the key is added."""
    names = {key: _start_name(start) for key, start in campaign.starts.items()}
    often = Counter(names.values())
    return {key: name if often[name] == 1 else f"{name} ({key})" for key, name in names.items()}


def _start_name(start: Start) -> str:
    match start:
        case EmbedStart():
            return "RDKit embedding"
        case EmbedAgainStart():
            return "embedded again"
        case ForcefieldStart():
            return start.method.upper()
        case RelaxStart():
            return start.method
        case SampleStart():
            return "conformer search"
        case DiffuseStart():
            steps = f", {start.steps} steps" if start.steps else ""
            sampler = _SAMPLERS.get(start.sampler or "")
            return f"{sampler}{steps}" if sampler else f"denoised by {Path(start.model).name}{steps}"
        case DisplacedStart():
            return "displaced minima"
        case DiffusedStart():
            return "minima with noise"


def optimizer_name(optimizer: str) -> str:
    """An optimizer as the literature calls it."""
    return OPTIMIZERS.get(optimizer, optimizer)


def level_name_for_people(level: str) -> str:
    """A level's name without the engine: of `qm9 (pyscf)` B3LYP/6-31G(2df,p)."""
    name = level.rpartition(" (")[0] or level
    return _METHODS.get(name, name)
