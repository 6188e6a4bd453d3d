"""Verbs of the Boltzmann study: one repeated denoising step against Metropolis (docs/guide/studies.md)."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from prerelax.studies.boltzmann.metropolis_chains import ChainRow


def boltzmann_molecules(
    out: Annotated[Path, typer.Argument(metavar="OUT.extxyz", help="The shard to write.")],
    shards: Annotated[list[Path], typer.Argument(metavar="SHARD...", help="Shards of minima.")],
    molecules: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10,
) -> None:
    """The first saturated chains among the rows: no multiple bonds, rings and charges (paper E's filter)."""
    from prerelax.studies.boltzmann.flexible import flexible_molecules

    typer.echo(f"{flexible_molecules(shards, out, molecules)} molecules")


def boltzmann(
    inp: Annotated[Path, typer.Argument(metavar="IN.extxyz", help="A shard of minima.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.extxyz", help="A row for each chain: how it ended.")],
    frames: Annotated[
        Path, typer.Argument(metavar="FRAMES.extxyz", help="What the chains visit, for `prerelax energies`.")
    ],
    model: Annotated[str, typer.Option(help="An EDM's name or folder.")],
    step: Annotated[int, typer.Option(min=1, help="n: the step of the schedule that is repeated.")],
    repeats: Annotated[int, typer.Option(min=1, help="Steps of each chain; paper: 20000.")] = 2000,
    burn_in: Annotated[int, typer.Option(min=0, help="First ones that keep nothing; paper: 1000.")] = 200,
    every: Annotated[int, typer.Option(min=1, help="Keep each so-many-th geometry.")] = 20,
    replicas: Annotated[int, typer.Option(min=1, help="Chains of each row.")] = 1,
    scheme: Annotated[
        Literal["repeat", "renoise", "perturb"],
        typer.Option(help="The reverse step alone (paper); noise up and back; the step's noise alone."),
    ] = "repeat",
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Chains at once.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Repeat one denoising step many times: the geometries that it samples (paper E, figures 7-9)."""
    from prerelax.studies.boltzmann.repeated_step import ChainPlan
    from prerelax.studies.boltzmann.repeated_step_shard import repeat_step_shard

    statuses = repeat_step_shard(
        inp,
        out,
        frames,
        model=model,
        plan=ChainPlan(step, repeats, burn_in, every, scheme),
        replicas=replicas,
        seed=seed,
        batch_size=batch_size,
        device=device,
    )
    typer.echo(", ".join(f"{n} {status}" for status, n in statuses.items()) or "no chain")


def metropolis(
    inp: Annotated[Path, typer.Argument(metavar="IN.extxyz", help="A shard of minima.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.parquet", help="A row for each chain.")],
    engine: Annotated[str, typer.Option(help="Program.")],
    method: Annotated[str, typer.Option(help="As for `prerelax relax`.")],
    temperatures: Annotated[
        list[float], typer.Option("--temperature", help="K; once for each. Paper: 18 from 10 to 400.")
    ],
    basis: Annotated[str | None, typer.Option(help="Basis set of a DFT method.")] = None,
    dispersion: Annotated[str | None, typer.Option(help="Dispersion correction: d3bj or d4.")] = None,
    solvent: Annotated[str | None, typer.Option(help="Implicit solvent, e.g. water.")] = None,
    solvent_model: Annotated[str | None, typer.Option(help="As for `prerelax relax`.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Proposals of each chain.")] = 24_000,
    burn_in: Annotated[int, typer.Option(min=0, help="First ones, which find the step size.")] = 5_000,
    seed: Annotated[int, typer.Option(help="Of the proposals.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Chains side by side.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 1,
) -> None:
    """Metropolis Monte Carlo at a level, for every row and temperature; resumes where it was stopped."""
    from prerelax.engines import Level
    from prerelax.studies.boltzmann.metropolis_chains import metropolis_chains

    rows = metropolis_chains(
        inp,
        out,
        level=Level(engine, method, basis, dispersion, solvent=solvent, solvent_model=solvent_model),
        temperatures_k=temperatures,
        steps=steps,
        burn_in=burn_in,
        seed=seed,
        workers=workers,
        threads=threads,
        report=lambda row: typer.echo(_chain_words(row), err=True),
    )
    statuses = Counter(row.status for row in rows)
    typer.echo(", ".join(f"{n} {status}" for status, n in statuses.items()) or "no chain")


def _chain_words(row: "ChainRow") -> str:
    words = f"{row.id}/{row.conformer} {row.temperature_k:g} K {row.status}"
    if row.status != "ok":
        return f"{words} {row.message}"
    return f"{words}: {100 * row.acceptance:.0f} % accepted, step {row.step_ang:.4f} Å, {row.wall_s:.0f} s"


def boltzmann_figures(
    figures: Annotated[Path, typer.Argument(metavar="FOLDER", help="Figures and their numbers.")],
    metropolis: Annotated[
        list[Path], typer.Option("--metropolis", help="What `prerelax metropolis` wrote; once for each file.")
    ],
    diffusion: Annotated[
        list[Path],
        typer.Option("--diffusion", help="Energies of `prerelax boltzmann`'s frames; once for each file."),
    ],
    rows: Annotated[
        list[Path] | None,
        typer.Option("--rows", help="The rows of `prerelax boltzmann`, for chains that broke."),
    ] = None,
    control: Annotated[
        list[Path] | None,
        typer.Option("--control", help="The same of `--scheme perturb`: the step's noise alone."),
    ] = None,
) -> None:
    """Violins, temperature against step, and heat capacities (paper E, figures 7-9)."""
    from prerelax.studies.boltzmann.analysis import compare, read_energies
    from prerelax.studies.boltzmann.figures import boltzmann_figures

    read = read_energies(metropolis, diffusion, rows or [], control or [])
    typer.echo(boltzmann_figures(compare(read), figures))


VERBS: dict[str, Callable[..., None]] = {
    "boltzmann-molecules": boltzmann_molecules,
    "boltzmann": boltzmann,
    "metropolis": metropolis,
    "boltzmann-figures": boltzmann_figures,
}
