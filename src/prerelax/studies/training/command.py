"""`prerelax study training`."""

import typer

from prerelax.studies.command import Figure, Results, Settings, Target, read_settings
from prerelax.studies.training.config import SpeedupSettings


def training(results: Results, target: Target, figure: Figure, settings: Settings) -> None:
    """Steps saved by a training's checkpoints, epoch by epoch (paper E, figures 10 right and 17)."""
    from prerelax.campaign.baseline import Baseline
    from prerelax.comparison.comparison import comparison_of
    from prerelax.comparison.figures.style import save
    from prerelax.studies.training.analysis import training_speedup, with_epochs
    from prerelax.studies.training.figures import training_speedup as draw

    chosen = read_settings(SpeedupSettings, settings)
    checkpoints = with_epochs(chosen.checkpoints, results / "training")
    folders = [results / "relaxed" / target / start for start in (chosen.baseline, *checkpoints)]
    table = training_speedup(
        comparison_of(folders, Baseline(start=chosen.baseline)), chosen.baseline, checkpoints
    )
    drawn, data = draw(table)
    save(drawn, data, figure.parent, figure.name)
    columns = ["model", "steps", "epoch", "subset", "n_counted", "left_out", "steps_saved_percent_median"]
    shown = [*columns, "steps_saved_percent_ci_low", "steps_saved_percent_ci_high", "paper_percent"]
    typer.echo(table[shown].to_string(index=False, float_format="%.3g"))
