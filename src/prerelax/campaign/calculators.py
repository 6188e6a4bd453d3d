"""The calculators of a campaign that are no part of prerelax, by where the config names them."""

from prerelax.campaign.config import Campaign
from prerelax.campaign.sets import TrainingSet
from prerelax.engines.level import Level
from prerelax.relaxation.settings import Relaxation


def check_consent(campaign: Campaign) -> None:
    """Raise UserError where the campaign would run code that the user has not consented to."""
    from prerelax.engines import engine_named

    for level in calculators(campaign).values():
        engine_named(level.engine).check_consent(level)


def calculators(campaign: Campaign) -> dict[str, Level]:
    """Levels of the engine ase, each once: `targets.x`, `starts.y`, `….cheap_level`, `single_points.z`."""
    named = (("targets", campaign.targets), ("starts", campaign.starts), ("sets", campaign.sets))
    parts = {f"{where}.{name}": part for where, each in named for name, part in each.items()}
    found: dict[str, Level] = {}
    for name, part in parts.items():
        if not isinstance(part, Relaxation):
            continue
        found[name] = part.level
        if isinstance(part.cheap_level, Level):
            found[f"{name}.cheap_level"] = part.cheap_level
        if isinstance(part, TrainingSet) and part.labels is not None:
            found[f"{name}.labels"] = part.labels
    found |= {f"single_points.{name}": points.level for name, points in campaign.single_points.items()}
    seen: list[Level] = []
    for name, level in list(found.items()):
        if level.engine != "ase" or level in seen:
            del found[name]
        seen.append(level)
    return found
