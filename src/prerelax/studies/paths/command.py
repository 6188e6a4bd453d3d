"""`prerelax study paths`."""

from prerelax.studies.command import Figure, Results, Settings, Target, read_settings, save_and_quote
from prerelax.studies.paths.config import PathSettings


def paths(results: Results, target: Target, figure: Figure, settings: Settings) -> None:
    """Energies along relaxation paths above the molecules' minima (paper E, figure 4)."""
    from prerelax.studies.paths.analysis import read_paths, summarise_paths
    from prerelax.studies.paths.figures import relaxation_paths

    chosen = read_settings(PathSettings, settings)
    read = read_paths(results, target, chosen.starts, chosen.zero)
    save_and_quote(*relaxation_paths(read, target), summarise_paths(read), figure)
