"""`prerelax study from-noise`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from prerelax.diffusion.options import Device
from prerelax.errors import UserError
from prerelax.molecules.status import counted
from prerelax.studies.command import Files, Settings, files_of, read_settings, save_and_quote
from prerelax.studies.from_noise.config import DrawnRuns, SampleSettings

if TYPE_CHECKING:
    import pandas as pd

    from prerelax.studies.from_noise.samples import Samples

Step = Literal["sample", "known", "judge", "shares", "limits", "pictures"]


def from_noise(
    step: Annotated[Step, typer.Argument(help="Which step.")],
    files: Files,
    settings: Settings = "{}",
    device: Annotated[Device, typer.Option(help="Where the network of `sample` runs.")] = "auto",
) -> None:
    """Generate molecules of given elements from noise and judge them (paper M, table 1, figures 12, 17, 18).

    \b
    sample OUT.npz - molecules, by a fixed or an adaptive schedule
    known FILE... OUT.smi - known molecules; one that is not here is novel
    judge IN.npz... OUT.csv - valences, fragments, SMILES
    shares RESULTS/from_noise FIGURE - validity, uniqueness, novelty
    limits RESULTS/from_noise FIGURE - the same by the limit on iterations
    pictures RESULTS/from_noise FIGURE - molecules of one run
    """
    match step:
        case "sample":
            (out,) = files_of(step, files, "OUT.npz")
            _sample(out, read_settings(SampleSettings, settings), device)
        case "known":
            *sets, out = files_of(step, files, "FILE... OUT.smi")
            _known(sets, out)
        case "judge":
            *shards, out = files_of(step, files, "IN.npz... OUT.csv")
            _judge(shards, out)
        case _:
            folder, figure = files_of(step, files, "RESULTS/from_noise FIGURE")
            draw = {"shares": _shares, "limits": _limits, "pictures": _pictures}[step]
            draw(folder, figure, read_settings(DrawnRuns, settings))


def _sample(out: Path, settings: SampleSettings, device: Device) -> None:
    from prerelax.denoisers.checkpoint import load_model
    from prerelax.studies.from_noise.run import check_generates, draw_compositions, sample_from_noise
    from prerelax.studies.from_noise.samples import write_samples
    from prerelax.studies.known_structures import known_structures

    model = load_model(settings.model)
    check_generates(model)
    drawn = draw_compositions(known_structures(settings.like, model), settings.molecules, settings.seed)
    rows = range(settings.molecules)[settings.first :][: settings.at_most]
    if not rows:
        raise UserError(f"first: {settings.first}, but there are {settings.molecules} molecules from 0 on")
    made = sample_from_noise(model, {f"{row:06d}": drawn[row] for row in rows}, settings, device)
    write_samples(out, made)
    typer.echo(
        f"{counted(made.status.tolist())}; {int(made.iterations.sum())} iterations in {made.seconds:.0f} s"
    )


def _known(files: list[Path], out: Path) -> None:
    from prerelax.studies.from_noise.analysis import write_known

    typer.echo(f"{write_known(out, files)} molecules")


def _judge(shards: list[Path], out: Path) -> None:
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


def _judged(folder: Path, settings: DrawnRuns) -> "pd.DataFrame":
    """The rows of every run's judged.csv."""
    import pandas as pd

    tables = []
    for compositions, run in settings.runs:
        path = folder / compositions / run / "judged.csv"
        try:
            table = pd.read_csv(path, dtype={"id": str})
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; run `prerelax study from-noise judge`") from error
        tables.append(table.assign(compositions=compositions, run=run))
    return pd.concat(tables, ignore_index=True)


def _known_of(folder: Path) -> frozenset[str]:
    path = folder / "known.smi"
    try:
        return frozenset(path.read_text().split())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; run `prerelax study from-noise known`") from error


def _samples(folder: Path) -> "Samples":
    from prerelax.studies.from_noise.samples import joined, read_samples

    return joined([read_samples(path) for path in sorted(folder.glob("*.npz"))])


def _shares(folder: Path, figure: Path, settings: DrawnRuns) -> None:
    from prerelax.studies.from_noise.analysis import summarise, summarise_runs
    from prerelax.studies.from_noise.figures import generated_shares

    judged = _judged(folder, settings)
    numbers = summarise(judged, _known_of(folder))
    ends = numbers[numbers["limit"] == 0].drop(columns="limit")
    table = judged[judged["limit"] == 0].drop(columns="limit")
    save_and_quote(generated_shares(numbers), table, ends, figure)
    by_run = summarise_runs(judged)
    by_run.to_csv(figure.with_name(f"{figure.name}_runs.csv"), index=False, float_format="%.4g")
    typer.echo(by_run.to_string(index=False, float_format="%.3g"))


def _limits(folder: Path, figure: Path, settings: DrawnRuns) -> None:
    from prerelax.comparison.figures.style import save
    from prerelax.studies.from_noise.analysis import summarise
    from prerelax.studies.from_noise.figures import generation_limits

    numbers = summarise(_judged(folder, settings), _known_of(folder))
    steps = {run: _samples(folder / compositions / run).steps_of() for compositions, run in settings.runs}
    save(generation_limits(numbers, steps), numbers, figure.parent, figure.name)
    shown = numbers[(numbers["limit"] > 0) & (numbers["quantity"] == "V")]
    typer.echo(shown.drop(columns="paper_percent").to_string(index=False, float_format="%.3g"))


def _pictures(folder: Path, figure: Path, settings: DrawnRuns) -> None:
    from prerelax.comparison.figures.style import save
    from prerelax.studies.from_noise.figures import generated_pictures

    if len(settings.runs) != 1:
        raise UserError(f"pictures are of one run at a time, not of {len(settings.runs)}")
    ((compositions, run),) = settings.runs
    judged, samples = _judged(folder, settings), _samples(folder / compositions / run)
    words = f"{run}, compositions {compositions}"
    drawn, table = generated_pictures(samples, judged, settings.pictures, words)
    save(drawn, table, figure.parent, figure.name)
    typer.echo(table[["id", "status", "iterations", "satisfied", "table_smiles"]].to_string(index=False))
