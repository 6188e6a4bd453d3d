"""`prerelax study boltzmann`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from prerelax.diffusion.options import Device
from prerelax.molecules.status import counted
from prerelax.studies.boltzmann.config import Compared, Metropolis, Molecules, RepeatedStep
from prerelax.studies.command import Files, Settings, files_of, read_settings

if TYPE_CHECKING:
    from prerelax.studies.boltzmann.metropolis_chains import ChainRow

StepName = Literal["molecules", "repeat", "metropolis", "figures"]


def boltzmann(
    step: Annotated[StepName, typer.Argument(help="Which step.")],
    files: Files,
    settings: Settings = "{}",
    device: Annotated[Device, typer.Option(help="Where the network of `repeat` runs.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Metropolis chains side by side.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 1,
) -> None:
    """Repeat one denoising step, and compare with Metropolis Monte Carlo (paper E, figures 7 to 9).

    \b
    molecules SHARD... OUT.extxyz - the first saturated chains (paper E's filter)
    repeat IN.extxyz OUT.extxyz FRAMES.extxyz - one denoising step, repeated
    metropolis IN.extxyz OUT.parquet - Metropolis at a level, resumable
    figures RESULTS/boltzmann FOLDER - violins, temperatures, heat capacities
    """
    match step:
        case "molecules":
            *shards, out = files_of(step, files, "SHARD... OUT.extxyz")
            _molecules(shards, out, read_settings(Molecules, settings))
        case "repeat":
            inp, out, frames = files_of(step, files, "IN.extxyz OUT.extxyz FRAMES.extxyz")
            _repeat(inp, out, frames, read_settings(RepeatedStep, settings), device)
        case "metropolis":
            inp, out = files_of(step, files, "IN.extxyz OUT.parquet")
            _metropolis(inp, out, read_settings(Metropolis, settings), workers, threads)
        case "figures":
            chains, folder = files_of(step, files, "RESULTS/boltzmann FOLDER")
            _figures(chains, folder, read_settings(Compared, settings))


def _molecules(shards: list[Path], out: Path, settings: Molecules) -> None:
    from prerelax.studies.boltzmann.flexible import flexible_molecules

    typer.echo(f"{flexible_molecules(shards, out, settings.molecules)} molecules")


def _repeat(inp: Path, out: Path, frames: Path, settings: RepeatedStep, device: Device) -> None:
    from prerelax.studies.boltzmann.repeated_step_shard import repeat_step_shard

    statuses = repeat_step_shard(inp, out, frames, settings, device)
    typer.echo(counted(statuses.elements(), "no chain"))


def _metropolis(inp: Path, out: Path, settings: Metropolis, workers: int, threads: int) -> None:
    from prerelax.relaxation.settings import Resources
    from prerelax.studies.boltzmann.metropolis_chains import metropolis_chains

    resources = Resources(workers=workers, threads=threads)
    rows = metropolis_chains(
        inp, out, settings, resources, report=lambda row: typer.echo(_chain_words(row), err=True)
    )
    typer.echo(counted((row.status for row in rows), "no chain"))


def _chain_words(row: "ChainRow") -> str:
    words = f"{row.id}/{row.conformer} {row.temperature_k:g} K {row.status}"
    if row.status != "ok":
        return f"{words} {row.message}"
    return f"{words}: {100 * row.acceptance:.0f} % accepted, step {row.step_ang:.4f} Å, {row.wall_s:.0f} s"


def _figures(chains: Path, folder: Path, settings: Compared) -> None:
    from prerelax.studies.boltzmann.analysis import compare
    from prerelax.studies.boltzmann.energies import read_energies
    from prerelax.studies.boltzmann.figures import boltzmann_figures
    from prerelax.studies.boltzmann.files import energy_files, metropolis_files, row_files

    read = read_energies(
        metropolis_files(chains, settings.temperatures_k),
        energy_files(chains, settings.steps),
        row_files(chains, "repeat", settings.steps),
        row_files(chains, "perturb", settings.control),
    )
    typer.echo(boltzmann_figures(compare(read), folder))
