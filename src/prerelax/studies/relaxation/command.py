"""`prerelax study relaxation`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from prerelax.studies.command import Files, Settings, files_of, read_settings, save_and_quote
from prerelax.studies.relaxation.config import (
    DrawingSettings,
    EnergySettings,
    FigureSettings,
    TableSettings,
)

Step = Literal["table", "figure", "drawings", "energies", "curves"]


def relaxation(
    step: Annotated[Step, typer.Argument(help="Which step.")], files: Files, settings: Settings = "{}"
) -> None:
    """Judge relaxations of inputs whose minimum is known, method by method (paper M, figures 3 to 11, 16).

    \b
    table RESULTS OUT.csv - RMSD to the minimum, iterations and seconds
    figure TABLE.csv FIGURE - ratios, steps, bins, seconds or sizes
    drawings RESULTS TABLE.csv FIGURE - three molecules before and after
    energies RESULTS FIGURE - energies above the minimum
    curves TRAINING... FIGURE - validation losses, from trainings' folders
    """
    match step:
        case "table":
            results, out = files_of(step, files, "RESULTS OUT.csv")
            _table(results, out, read_settings(TableSettings, settings))
        case "figure":
            table, figure = files_of(step, files, "TABLE.csv FIGURE")
            _figure(table, figure, read_settings(FigureSettings, settings))
        case "drawings":
            results, table, figure = files_of(step, files, "RESULTS TABLE.csv FIGURE")
            _drawings(results, table, figure, read_settings(DrawingSettings, settings))
        case "energies":
            results, figure = files_of(step, files, "RESULTS FIGURE")
            _energies(results, figure, read_settings(EnergySettings, settings))
        case "curves":
            *trainings, figure = files_of(step, files, "TRAINING... FIGURE")
            _curves(trainings, figure)


def _table(results: Path, out: Path, settings: TableSettings) -> None:
    from prerelax.records.atomic_write import write_text_atomically
    from prerelax.studies.relaxation.table import relaxation_table, summarise_ratios

    table = relaxation_table(results, settings.reference, settings.inputs)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(out, table.to_csv(index=False, float_format="%.6g"))
    typer.echo(summarise_ratios(table).to_string(index=False, float_format="%.3g"))


def _figure(table: Path, figure: Path, settings: FigureSettings) -> None:
    import pandas as pd

    from prerelax.studies.relaxation import cost_figures
    from prerelax.studies.relaxation import figures as draw

    rows = pd.read_csv(table, dtype={"id": str})
    methods = settings.methods
    by_kind: dict[str, Callable[[], draw.Drawn]] = {
        "ratios": lambda: draw.ratios(rows, methods),
        "steps": lambda: draw.start_steps(rows, methods),
        "bins": lambda: draw.rmsd_in_bins(rows, methods, settings.repeats),
        "seconds": lambda: cost_figures.seconds(rows, methods, settings.serial),
        "sizes": lambda: cost_figures.by_size(rows, methods),
    }
    save_and_quote(*by_kind[settings.kind](), figure)


def _drawings(results: Path, table: Path, figure: Path, settings: DrawingSettings) -> None:
    import pandas as pd

    from prerelax.studies.relaxation.drawings import drawings

    rows = pd.read_csv(table, dtype={"id": str})
    drawn = drawings(rows, results, settings.reference, settings.input, settings.methods, settings.by)
    save_and_quote(*drawn, figure)


def _energies(results: Path, figure: Path, settings: EnergySettings) -> None:
    from prerelax.studies.relaxation.energies import method_energies
    from prerelax.studies.relaxation.figures import energies

    table = method_energies(results, settings.reference, settings.input, settings.methods)
    save_and_quote(*energies(table, settings.level, settings.input), figure)


def _curves(trainings: list[Path], figure: Path) -> None:
    from prerelax.studies.relaxation.figures import curves
    from prerelax.studies.relaxation.training_curves import training_curves

    table, absent = training_curves({folder.name: folder for folder in trainings})
    save_and_quote(*curves(table, absent), figure)
    for message in absent.values():
        typer.echo(message, err=True)
