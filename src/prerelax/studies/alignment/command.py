"""`prerelax study alignment`."""

from prerelax.studies.alignment.config import AlignmentSettings
from prerelax.studies.command import Figure, Results, Settings, Target, read_settings, save_and_quote


def alignment(results: Results, target: Target, figure: Figure, settings: Settings) -> None:
    """Cosines between coming steps, the forces and the way to the minimum (paper E, figure 6)."""
    from prerelax.studies.alignment.analysis import read_alignment, summarise_alignment
    from prerelax.studies.alignment.figures import alignment as draw

    chosen = read_settings(AlignmentSettings, settings)
    read = read_alignment(results, target, chosen.starts, chosen.sums)
    save_and_quote(*draw(read, target), summarise_alignment(read), figure)
