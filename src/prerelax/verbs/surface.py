"""Verbs of the studies: what a diffusion model knows of the energy surface (docs/guide/studies.md)."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from prerelax.errors import UserError

Results = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="A campaign's results: its relaxed/ and energies/ are read.")
]
Figure = Annotated[
    Path, typer.Argument(metavar="FIGURE", help="The figure's files without their endings .pdf, .png, .csv.")
]
Target = Annotated[str, typer.Option(help="Name of the target.")]
StartNames = Annotated[list[str], typer.Option("--start", help="Name of a start; once for each.")]
Baseline = Annotated[str, typer.Option(help="The start that the others are compared with.")]
GoOnWithoutProgram = Annotated[
    bool,
    typer.Option(
        "--go-on-without-program",
        help="Where the engine is not installed, write its rows with the status resource_error.",
    ),
]


def energies(
    trajectory: Annotated[Path, typer.Argument(help="What `prerelax diffuse --trajectory` wrote.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT.extxyz", help="Its geometries with energies and forces.")
    ],
    engine: Annotated[str, typer.Option(help="Program.")],
    method: Annotated[str, typer.Option(help="As for `prerelax relax`.")],
    basis: Annotated[str | None, typer.Option(help="Basis set of a DFT method.")] = None,
    dispersion: Annotated[str | None, typer.Option(help="Dispersion correction: d3bj or d4.")] = None,
    solvent: Annotated[str | None, typer.Option(help="Implicit solvent, e.g. water.")] = None,
    solvent_model: Annotated[str | None, typer.Option(help="As for `prerelax relax`.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Each so-many-th geometry, and the last one.")] = 1,
    molecules: Annotated[int | None, typer.Option(min=1, help="The first so many molecules.")] = None,
    max_atoms: Annotated[int | None, typer.Option(min=1, help="Skip molecules with more atoms.")] = None,
    max_heavy_atoms: Annotated[
        int | None, typer.Option(min=0, help="Skip molecules with more heavy atoms.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Geometries side by side.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 1,
    go_on_without_program: GoOnWithoutProgram = False,
) -> None:
    """Energies and forces of every geometry of a trajectory, nothing moved; resumes where it was stopped."""
    from prerelax.engines import Level
    from prerelax.relaxation.shard import OnlyFilter
    from prerelax.relaxation.single_points import single_points

    statuses = single_points(
        trajectory,
        out,
        level=Level(engine, method, basis, dispersion, solvent=solvent, solvent_model=solvent_model),
        every=every,
        molecules=molecules,
        only=OnlyFilter(max_atoms=max_atoms, max_heavy_atoms=max_heavy_atoms),
        workers=workers,
        threads=threads,
        go_on_without_program=go_on_without_program,
    )
    typer.echo(", ".join(f"{n} {status}" for status, n in statuses.items()) or "no geometry")


def paths(
    results: Results,
    figure: Figure,
    target: Target,
    starts: StartNames,
    zero: Annotated[str | None, typer.Option(help="Start whose minimum is the paper's zero.")] = None,
) -> None:
    """Energies along relaxation paths above the molecules' minima (paper E, figure 4)."""
    from prerelax.comparison.figures.style import save_with_numbers
    from prerelax.studies.paths.analysis import read_paths, summarise_paths
    from prerelax.studies.paths.figures import relaxation_paths

    read = read_paths(results, target, starts, zero)
    typer.echo(save_with_numbers(*relaxation_paths(read, target), summarise_paths(read), figure))


def align(
    results: Results,
    figure: Figure,
    target: Target,
    starts: StartNames,
    sums: Annotated[list[int], typer.Option("--sum", min=1, help="k: how many coming steps; once for each.")],
) -> None:
    """Cosines between coming steps, the forces and the way to the minimum (paper E, figure 6)."""
    from prerelax.comparison.figures.style import save_with_numbers
    from prerelax.studies.alignment.analysis import read_alignment, summarise_alignment
    from prerelax.studies.alignment.figures import alignment

    read = read_alignment(results, target, starts, sums)
    typer.echo(save_with_numbers(*alignment(read, target), summarise_alignment(read), figure))


def training_speedup(
    results: Results,
    figure: Figure,
    target: Target,
    checkpoints: Annotated[
        list[str],
        typer.Option(
            "--checkpoint",
            help="START:MODEL:EPOCH:STEPS of a start, EPOCH a number or last; once for each.",
        ),
    ],
    baseline: Baseline = "mmff94",
) -> None:
    """Steps saved by a training's checkpoints, epoch by epoch (paper E, figures 10 right and 17)."""
    from prerelax.comparison.comparison import comparison_of
    from prerelax.comparison.figures.style import save
    from prerelax.studies.training.analysis import training_speedup as speedup_of
    from prerelax.studies.training.figures import training_speedup as draw

    states = dict(_checkpoint(text, results) for text in checkpoints)
    folders = [results / "relaxed" / target / start for start in (baseline, *states)]
    table = speedup_of(comparison_of(folders, baseline), baseline, states)
    drawn, data = draw(table)
    save(drawn, data, figure.parent, figure.name)
    columns = ["model", "steps", "epoch", "subset", "n_counted", "left_out", "steps_saved_percent_median"]
    shown = [*columns, "steps_saved_percent_ci_low", "steps_saved_percent_ci_high", "paper_percent"]
    typer.echo(table[shown].to_string(index=False, float_format="%.3g"))


def _checkpoint(text: str, results: Path) -> tuple[str, Any]:
    from prerelax.studies.training.analysis import Checkpoint, last_epoch

    try:
        start, model, epoch, steps = text.split(":")
        number = last_epoch(results / "training" / model) if epoch == "last" else float(epoch)
        return start, Checkpoint(model, number, int(steps))
    except ValueError:
        raise UserError(f"--checkpoint {text}: not of the form START:MODEL:EPOCH:STEPS") from None


def outlier(
    results: Results, figure: Figure, target: Target, starts: StartNames, baseline: Baseline = "mmff94"
) -> None:
    """Draw the molecule with the largest absolute energy delta (paper E, figure 16)."""
    from prerelax.comparison.figures.style import save
    from prerelax.studies.outlier.analysis import find_outlier
    from prerelax.studies.outlier.figures import outlier as draw

    drawn, data = draw(find_outlier(results, target, starts, baseline), target, baseline)
    save(drawn, data, figure.parent, figure.name)
    typer.echo(data.to_string(index=False))


def generate(
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="Every state of the chains.")],
    model: Annotated[str, typer.Option(help="A model's name or folder that diffuses elements too.")],
    sizes_like: Annotated[Path, typer.Option(help="npz set whose numbers of atoms are drawn from.")],
    molecules: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(help="Of sizes and noise.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Molecules at once.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Generate molecules from noise, keeping every state of the chain."""
    from prerelax.denoisers.checkpoint import load_model
    from prerelax.studies.generation.chains import write_chains
    from prerelax.studies.generation.run import draw_sizes, generate

    sizes = draw_sizes(sizes_like, molecules, seed)
    write_chains(out, generate(load_model(model), sizes, seed, batch_size, device))


Chain = Annotated[Path, typer.Argument(metavar="CHAIN.npz", help="What `prerelax generate` wrote.")]


def phases(chain: Chain, figure: Figure) -> None:
    """Step sizes, bond lengths, elements and valences along generating chains (paper E, figure 2)."""
    from prerelax.comparison.figures.style import save_with_numbers
    from prerelax.studies.generation.chains import read_chains
    from prerelax.studies.generation.phases import phases as phases_of
    from prerelax.studies.generation.phases import summarise_phases
    from prerelax.studies.generation.phases_figure import phases as draw

    chains = read_chains(chain)
    found = phases_of(chains)
    numbers = summarise_phases(found, chains.timesteps)
    typer.echo(save_with_numbers(*draw(found, chains.model, chains.timesteps), numbers, figure))


def chain_end(
    chain: Chain,
    out: Annotated[Path, typer.Argument(metavar="OUT.extxyz", help="Geometries for `prerelax energies`.")],
    steps: Annotated[int, typer.Option(min=1, help="The last steps, where elements are final.")] = 50,
    molecules: Annotated[int, typer.Option(min=1, help="The first so many that are molecules.")] = 20,
) -> None:
    """The end of generating chains, and the straight line between its ends (paper E, figure 3)."""
    from prerelax.studies.generation.chain_end import chain_ends, write_chain_ends
    from prerelax.studies.generation.chains import read_chains

    frames = chain_ends(read_chains(chain), steps, molecules)
    write_chain_ends(out, frames)
    typer.echo(f"{len({frame.molecule for frame in frames}) // 2} molecules, {len(frames)} geometries")


def chain_energies(
    evaluated: Annotated[Path, typer.Argument(metavar="IN.extxyz", help="What `prerelax energies` wrote.")],
    figure: Figure,
    target: Target,
) -> None:
    """Draw energies along the end of generating chains (paper E, figure 3)."""
    from prerelax.comparison.figures.style import save_with_numbers
    from prerelax.studies.generation.chain_end import read_chain_energies, summarise_chain_ends
    from prerelax.studies.generation.chain_end_figure import chain_end as draw

    table, left_out = read_chain_energies(evaluated)
    drawn, data = draw(table, left_out, target)
    typer.echo(save_with_numbers(drawn, data, summarise_chain_ends(table), figure))


VERBS: dict[str, Callable[..., None]] = {
    "energies": energies,
    "paths": paths,
    "align": align,
    "training-speedup": training_speedup,
    "outlier": outlier,
    "generate": generate,
    "phases": phases,
    "chain-end": chain_end,
    "chain-energies": chain_energies,
}
