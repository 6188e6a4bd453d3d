"""The calculators of a campaign that are no part of prerelax, by where the config names them."""

from prerelax.campaign.config import Campaign
from prerelax.campaign.starts import RelaxStart
from prerelax.engines.level import Level


def calculators(campaign: Campaign) -> dict[str, Level]:
    """Levels of the engine ase, each once: `targets.x`, `starts.y`, `….cheap_level`, `single_points.z`."""
    parts = {f"targets.{name}": part for name, part in campaign.targets.items()}
    starts = {
        f"starts.{name}": part for name, part in campaign.starts.items() if isinstance(part, RelaxStart)
    }
    found: dict[str, Level] = {}
    for name, part in (parts | starts).items():
        found[name] = part.level
        if isinstance(part.cheap_level, Level):
            found[f"{name}.cheap_level"] = part.cheap_level
    found |= {f"single_points.{name}": points.level for name, points in campaign.single_points.items()}
    seen: list[Level] = []
    for name, level in list(found.items()):
        if level.engine != "ase" or level in seen:
            del found[name]
        seen.append(level)
    return found
