"""`prerelax study schedules`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from prerelax.studies.command import Figure, Settings, read_settings, save_and_quote
from prerelax.studies.schedules.config import ScheduleStudy, ShellStudy

Step = Literal["compare", "shells"]


def schedules(
    step: Annotated[Step, typer.Argument(help="Which figure.")], figure: Figure, settings: Settings
) -> None:
    """Look at the time steps that a network predicts (paper M, figures 3b, 7 and 13).

    \b
    compare - minima with noise, and MMFF94 minima, denoised by both schedules
    shells - how thin the shell of noise is, and the step seen in it
    """
    if step == "compare":
        _compare(figure, read_settings(ScheduleStudy, settings))
    else:
        _shells(figure, read_settings(ShellStudy, settings))


def _compare(figure: Path, settings: ScheduleStudy) -> None:
    from prerelax.denoisers.checkpoint import load_model
    from prerelax.studies.known_structures import known_structures
    from prerelax.studies.schedules.figures import schedules as draw
    from prerelax.studies.schedules.run import compare_schedules, summarise_schedules

    model = load_model(settings.model)
    minima = known_structures(settings.structures, model)
    along, ends = compare_schedules(
        model, minima, settings.molecules, settings.steps, settings.max_iterations, settings.seed
    )
    save_and_quote(draw(along, ends), along, summarise_schedules(ends), figure)
    ends.to_csv(figure.with_name(f"{figure.name}_ends.csv"), index=False, float_format="%.6g")


def _shells(figure: Path, settings: ShellStudy) -> None:
    from prerelax.denoisers.checkpoint import load_model
    from prerelax.studies.known_structures import known_structures
    from prerelax.studies.schedules.figures import shells as draw
    from prerelax.studies.schedules.run import shells, summarise_shells

    model = load_model(settings.model)
    minima = known_structures(settings.structures, model)
    table = shells(model, minima, settings.molecules, settings.points, settings.seed)
    save_and_quote(draw(table, model.name), table, summarise_shells(table), figure)
