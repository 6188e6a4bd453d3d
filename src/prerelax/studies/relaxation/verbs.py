"""Verbs of MoreRed's relaxation studies: inputs whose minimum is known, and what methods make of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from prerelax.choices import RelaxationFigure
from prerelax.errors import UserError

ShardIn = Annotated[Path, typer.Argument(metavar="IN.extxyz", help="A shard of minima.")]
ShardOut = Annotated[Path, typer.Argument(metavar="OUT.extxyz", help="The shard to write.")]


def displaced(
    shard: ShardIn,
    out: ShardOut,
    set_path: Annotated[Path, typer.Option("--set", help="npz of `displace` or `qm7x` with these minima.")],
    start: Annotated[str, typer.Option(help="Name of the start.")] = "displaced",
) -> None:
    """Three displacements of every minimum that a set has: smallest, middle and largest RMSD."""
    from prerelax.starts.known_minima import displaced_shard

    displaced_shard(shard, out, set_path, start)


def diffused(
    shard: ShardIn,
    out: ShardOut,
    steps: Annotated[list[int], typer.Option("--step", min=1, max=999, help="Of 1000; once for each.")],
    seed: Annotated[int, typer.Option(help="Of the noise, together with each molecule's id.")] = 0,
    start: Annotated[str, typer.Option(help="Name of the start.")] = "diffused",
) -> None:
    """Every minimum with the noise that MoreRed's schedule has at some steps."""
    from prerelax.starts.known_minima import diffused_shard

    diffused_shard(shard, out, steps, start, seed)


Figure = Annotated[
    Path, typer.Argument(metavar="FIGURE", help="The figure's files without their endings .pdf, .png, .csv.")
]
Table = Annotated[Path, typer.Argument(metavar="TABLE.csv", help="What `prerelax relaxation-table` wrote.")]
Results = Annotated[Path, typer.Argument(metavar="RESULTS", help="A campaign's results.")]
Methods = Annotated[list[str], typer.Option("--method", help="Once for each, in the figure's order.")]
Reference = Annotated[str, typer.Option(help="The start whose geometries are the minima.")]
InputName = Annotated[str, typer.Option("--input", help="The start that the methods begin with.")]


def relaxation_table(
    results: Results,
    out: Annotated[Path, typer.Argument(metavar="OUT.csv", help="One row per method and input.")],
    starts: Annotated[
        list[str], typer.Option("--start", help="METHOD:INPUT, the start METHOD-INPUT; once for each.")
    ],
    reference: Reference,
) -> None:
    """RMSD to the minimum before and after, iterations and seconds of every method and input."""
    from prerelax.records.atomic_write import write_text_atomically
    from prerelax.studies.relaxation.table import relaxation_table as table_of
    from prerelax.studies.relaxation.table import summarise_ratios

    inputs: dict[str, list[str]] = {}
    for method, name in (_pair(text) for text in starts):
        inputs.setdefault(name, []).append(method)
    table = table_of(results, reference, inputs)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(out, table.to_csv(index=False, float_format="%.6g"))
    typer.echo(summarise_ratios(table).to_string(index=False, float_format="%.3g"))


def _pair(text: str) -> tuple[str, str]:
    method, colon, name = text.partition(":")
    if not (method and colon and name):
        raise UserError(f"--start {text}: not of the form METHOD:INPUT")
    return method, name


def relaxation_figure(
    kind: Annotated[RelaxationFigure, typer.Argument(help="Which figure.")],
    table: Table,
    figure: Figure,
    methods: Methods,
    repeats: Annotated[
        list[str] | None, typer.Option("--repeat", help="METHOD:AGAIN, the same with another seed.")
    ] = None,
    serial: Annotated[
        list[str] | None, typer.Option(help="Of seconds: methods one structure at a time, stopped early.")
    ] = None,
) -> None:
    """Draw RMSD ratios (paper M, 4), predicted steps (3a), RMSD in bins (8, 10, 11), seconds or sizes."""
    import pandas as pd

    from prerelax.comparison.figures.style import save_with_numbers
    from prerelax.studies.relaxation import figures as draw

    rows = pd.read_csv(table, dtype={"id": str})
    again: dict[str, list[str]] = {}
    for method, name in (_pair(text) for text in repeats or ()):
        again.setdefault(method, []).append(name)
    by_kind: dict[str, Callable[[], draw.Drawn]] = {
        "ratios": lambda: draw.ratios(rows, methods),
        "steps": lambda: draw.start_steps(rows, methods),
        "bins": lambda: draw.rmsd_in_bins(rows, methods, again),
        "seconds": lambda: draw.seconds(rows, methods, serial or ()),
        "sizes": lambda: draw.by_size(rows, methods),
    }
    drawn = by_kind[kind]()
    typer.echo(save_with_numbers(*drawn, figure))


def relaxation_energies(
    results: Results,
    figure: Figure,
    reference: Reference,
    input_name: InputName,
    methods: Methods,
    level: Annotated[str, typer.Option(help="Its name in the figure.")] = "DFT",
) -> None:
    """Energies above the minimum of what the methods end in (paper M, figure 6)."""
    from prerelax.comparison.figures.style import save_with_numbers
    from prerelax.studies.relaxation.energies import method_energies
    from prerelax.studies.relaxation.extra_figures import energies

    table = method_energies(results, reference, input_name, methods)
    typer.echo(save_with_numbers(*energies(table, level, input_name), figure))


def relaxation_drawings(
    results: Results,
    table: Table,
    figure: Figure,
    reference: Reference,
    input_name: InputName,
    methods: Methods,
    by: Annotated[str, typer.Option(help="The method whose RMSD ratios choose the inputs.")],
) -> None:
    """Draw what methods make of three inputs, chosen by quantiles of the RMSD ratio (paper M, 5 and 9)."""
    import pandas as pd

    from prerelax.comparison.figures.style import save_with_numbers
    from prerelax.studies.relaxation.extra_figures import drawings

    rows = pd.read_csv(table, dtype={"id": str})
    drawn = drawings(rows, results, reference, input_name, methods, by)
    typer.echo(save_with_numbers(*drawn, figure))


def training_curves(
    figure: Figure,
    trainings: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of trainings.")],
) -> None:
    """Validation losses over trainings, with and without the average of the weights (paper M, figure 16)."""
    from prerelax.comparison.figures.style import save_with_numbers
    from prerelax.studies.relaxation.extra_figures import curves
    from prerelax.studies.relaxation.training_curves import training_curves as curves_of

    table, absent = curves_of({folder.name: folder for folder in trainings})
    typer.echo(save_with_numbers(*curves(table, absent), figure))
    for message in absent.values():
        typer.echo(message, err=True)


VERBS: dict[str, Callable[..., None]] = {
    "displaced": displaced,
    "diffused": diffused,
    "relaxation-table": relaxation_table,
    "relaxation-figure": relaxation_figure,
    "relaxation-energies": relaxation_energies,
    "relaxation-drawings": relaxation_drawings,
    "training-curves": training_curves,
}
