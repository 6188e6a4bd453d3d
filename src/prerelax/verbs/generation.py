"""Verbs of MoreRed's generation and of its time steps (docs/guide/studies.md)."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from prerelax.diffusion.options import Device
from prerelax.errors import UserError

Figure = Annotated[
    Path, typer.Argument(metavar="FIGURE", help="The figure's files without their endings .pdf, .png, .csv.")
]
Model = Annotated[str, typer.Option(help="A MoreRed model's name or folder.")]
Structures = Annotated[Path, typer.Option(help="npz set of minima, to which noise is added.")]
Seed = Annotated[int, typer.Option(help="Of the noise.")]
Known = Annotated[Path, typer.Option(help="What `prerelax known-smiles` wrote.")]
Runs = Annotated[
    list[str],
    typer.Option("--run", help="COMPOSITIONS:RUN:FOLDER of what `prerelax from-noise` wrote; once for each."),
]


def from_noise(
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The molecules.")],
    model: Model,
    compositions_like: Annotated[
        Path, typer.Option(help="npz set from whose molecules compositions are drawn.")
    ],
    sampler: Annotated[
        str, typer.Option(help="ddpm: the fixed schedule; jt, as, itp: predicted steps.")
    ] = "jt",
    molecules: Annotated[int, typer.Option(min=1, help="How many compositions are drawn.")] = 500,
    first: Annotated[int, typer.Option(min=0, help="Make those from this one on, counted from 0,")] = 0,
    at_most: Annotated[int | None, typer.Option(min=1, help="and at most so many.")] = None,
    max_iterations: Annotated[int, typer.Option(min=1, help="Of jt, as and itp; the paper's limit.")] = 2000,
    limits: Annotated[
        list[int] | None,
        typer.Option("--limit", min=1, help="Keep the geometry after so many iterations, too."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of compositions and noise.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Molecules at once.")] = 128,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = "auto",
) -> None:
    """Molecules of given elements from noise, by a fixed or an adaptive schedule (paper M, table 1)."""
    from prerelax.denoisers.checkpoint import load_model
    from prerelax.studies.from_noise.run import (
        check_generates,
        draw_compositions,
        read_minima,
        sample_from_noise,
    )
    from prerelax.studies.from_noise.samples import write_samples

    loaded = load_model(model)
    check_generates(loaded)
    drawn = draw_compositions(read_minima(compositions_like, loaded), molecules, seed)
    rows = range(molecules)[first:][:at_most]
    if not rows:
        raise UserError(f"--first {first}: there are {molecules} molecules, counted from 0")
    made = sample_from_noise(
        loaded,
        [drawn[row] for row in rows],
        [f"{row:06d}" for row in rows],
        sampler,
        max_iterations=max_iterations,
        limits=limits or [],
        seed=seed,
        batch_size=batch_size,
        device=device,
    )
    write_samples(out, made)
    counts = {status: int((made.status == status).sum()) for status in sorted(set(made.status.tolist()))}
    said = ", ".join(f"{n} {status}" for status, n in counts.items())
    typer.echo(f"{said}; {int(made.iterations.sum())} iterations in {made.seconds:.0f} s")


def known_smiles(
    out: Annotated[Path, typer.Argument(metavar="OUT.smi", help="Canonical SMILES without stereochemistry.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="npz sets and files of SMILES.")],
) -> None:
    """Collect known molecules: what is none of them is novel."""
    from prerelax.studies.from_noise.analysis import write_known

    typer.echo(f"{write_known(out, files)} molecules")


def judge_samples(
    out: Annotated[Path, typer.Argument(metavar="OUT.csv", help="A row for each molecule and limit.")],
    shards: Annotated[
        list[Path], typer.Argument(metavar="IN.npz...", help="What `prerelax from-noise` wrote.")
    ],
) -> None:
    """Judge molecules by their coordinates: valences, fragments, SMILES."""
    import pandas as pd

    from prerelax.records.atomic_write import write_text_atomically
    from prerelax.studies.from_noise.analysis import judge
    from prerelax.studies.from_noise.samples import read_samples

    tables = []
    for shard in shards:
        samples = read_samples(shard)
        tables.append(judge(samples).assign(model=samples.model, sampler=samples.sampler))
    table = pd.concat(tables, ignore_index=True)
    write_text_atomically(out, table.to_csv(index=False))
    ends = table[table["limit"] == 0]
    typer.echo(f"{len(ends)} molecules, {int(ends['table_smiles'].notna().sum())} valid")


def _run_of(text: str) -> tuple[str, str, Path]:
    compositions, _, rest = text.partition(":")
    run, _, folder = rest.partition(":")
    if not folder:
        raise UserError(f"--run {text}: not of the form COMPOSITIONS:RUN:FOLDER")
    return compositions, run, Path(folder)


def _judged(runs: list[str]) -> Any:
    """The rows of every run's judged.csv."""
    import pandas as pd

    tables = []
    for compositions, run, folder in map(_run_of, runs):
        try:
            table = pd.read_csv(folder / "judged.csv", dtype={"id": str})
        except OSError as error:
            raise UserError(
                f"{folder / 'judged.csv'}: {error.strerror}; run `prerelax judge-samples`"
            ) from error
        tables.append(table.assign(compositions=compositions, run=run))
    return pd.concat(tables, ignore_index=True)


def generation_shares(figure: Figure, runs: Runs, known: Known) -> None:
    """Draw validity, uniqueness and novelty of every run beside the paper's (paper M, table 1)."""
    from prerelax.comparison.figures.style import save_with_numbers
    from prerelax.studies.from_noise.analysis import summarise, summarise_runs
    from prerelax.studies.from_noise.figures import generated_shares as draw

    judged = _judged(runs)
    numbers = summarise(judged, frozenset(known.read_text().split()))
    ends = numbers[numbers["limit"] == 0].drop(columns="limit")
    table = judged[judged["limit"] == 0].drop(columns="limit")
    typer.echo(save_with_numbers(draw(numbers), table, ends, figure))
    by_run = summarise_runs(judged)
    by_run.to_csv(figure.with_name(f"{figure.name}_runs.csv"), index=False, float_format="%.4g")
    typer.echo(by_run.to_string(index=False, float_format="%.3g"))


def generation_limits(figure: Figure, runs: Runs, known: Known) -> None:
    """Draw shares by the limit on iterations, and the step at every iteration (paper M, figure 12)."""
    from prerelax.comparison.figures.style import save
    from prerelax.studies.from_noise.analysis import summarise
    from prerelax.studies.from_noise.figures import generation_limits as draw

    numbers = summarise(_judged(runs), frozenset(known.read_text().split()))
    steps = {run: _samples(folder).steps_of() for _, run, folder in map(_run_of, runs)}
    save(draw(numbers, steps), numbers, figure.parent, figure.name)
    shown = numbers[(numbers["limit"] > 0) & (numbers["quantity"] == "V")]
    typer.echo(shown.drop(columns="paper_percent").to_string(index=False, float_format="%.3g"))


def _samples(folder: Path) -> Any:
    from prerelax.studies.from_noise.samples import joined, read_samples

    return joined([read_samples(path) for path in sorted(folder.glob("*.npz"))])


def generation_pictures(
    figure: Figure,
    runs: Runs,
    pictures: Annotated[int, typer.Option(min=1, help="How many, evenly spaced over all.")] = 8,
) -> None:
    """Draw molecules of one run, evenly spaced over all of them (paper M, figures 17 and 18)."""
    from prerelax.comparison.figures.style import save
    from prerelax.studies.from_noise.figures import generated_pictures

    if len(runs) != 1:
        raise UserError("pictures are of one --run at a time")
    compositions, run, folder = _run_of(runs[0])
    words = f"{run}, compositions {compositions}"
    drawn, table = generated_pictures(_samples(folder), _judged(runs), pictures, words)
    save(drawn, table, figure.parent, figure.name)
    typer.echo(table[["id", "status", "iterations", "satisfied", "table_smiles"]].to_string(index=False))


def schedules(
    figure: Figure,
    model: Model,
    structures: Structures,
    steps: Annotated[list[int], typer.Option("--step", min=1, help="Of the noise; once for each.")],
    molecules: Annotated[int, typer.Option(min=1, help="Evenly spaced over the set.")] = 50,
    max_iterations: Annotated[int, typer.Option(min=1, help="Of the adaptive schedule.")] = 1000,
    seed: Seed = 0,
) -> None:
    """Denoise noised and MMFF94 minima by either schedule (paper M, figures 3b and 13)."""
    from prerelax.comparison.figures.style import save_with_numbers
    from prerelax.denoisers.checkpoint import load_model
    from prerelax.studies.from_noise.run import read_minima
    from prerelax.studies.schedules.figures import schedules as draw
    from prerelax.studies.schedules.run import compare_schedules, summarise_schedules

    loaded = load_model(model)
    minima = read_minima(structures, loaded)
    along, ends = compare_schedules(loaded, minima, molecules, steps, max_iterations, seed)
    typer.echo(save_with_numbers(draw(along, ends), along, summarise_schedules(ends), figure))
    ends.to_csv(figure.with_name(f"{figure.name}_ends.csv"), index=False, float_format="%.6g")


def shells(
    figure: Figure,
    model: Model,
    structures: Structures,
    molecules: Annotated[int, typer.Option(min=1, help="Evenly spaced over the set.")] = 200,
    points: Annotated[int, typer.Option(min=2, help="Steps of the schedule, evenly spaced.")] = 40,
    seed: Seed = 0,
) -> None:
    """How thin the shell is on which noise lies, and the step seen in it (paper M, figure 7)."""
    from prerelax.comparison.figures.style import save_with_numbers
    from prerelax.denoisers.checkpoint import load_model
    from prerelax.studies.from_noise.run import read_minima
    from prerelax.studies.schedules.figures import shells as draw
    from prerelax.studies.schedules.run import shells as shells_of
    from prerelax.studies.schedules.run import summarise_shells

    loaded = load_model(model)
    table = shells_of(loaded, read_minima(structures, loaded), molecules, points, seed)
    typer.echo(save_with_numbers(draw(table, loaded.name), table, summarise_shells(table), figure))


VERBS: dict[str, Callable[..., None]] = {
    "from-noise": from_noise,
    "known-smiles": known_smiles,
    "judge-samples": judge_samples,
    "generation-shares": generation_shares,
    "generation-limits": generation_limits,
    "generation-pictures": generation_pictures,
    "schedules": schedules,
    "shells": shells,
}
