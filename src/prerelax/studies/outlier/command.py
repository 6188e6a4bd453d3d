"""`prerelax study outlier`."""

import typer

from prerelax.studies.command import Figure, Results, Settings, Target, read_settings
from prerelax.studies.outlier.config import OutlierSettings


def outlier(results: Results, target: Target, figure: Figure, settings: Settings) -> None:
    """Draw the molecule with the largest absolute energy delta (paper E, figure 16)."""
    from prerelax.comparison.figures.style import save
    from prerelax.studies.outlier.analysis import find_outlier
    from prerelax.studies.outlier.figures import outlier as draw

    chosen = read_settings(OutlierSettings, settings)
    drawn, data = draw(find_outlier(results, target, chosen.starts, chosen.baseline), target, chosen.baseline)
    save(drawn, data, figure.parent, figure.name)
    typer.echo(data.to_string(index=False))
