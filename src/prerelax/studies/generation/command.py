"""`prerelax study generation`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from prerelax.diffusion.options import Device
from prerelax.studies.command import Files, Settings, files_of, read_settings, save_and_quote
from prerelax.studies.generation.config import ChainEnd, GenerationStudy

Step = Literal["chains", "phases", "samples", "end", "energies"]


def generation(
    step: Annotated[Step, typer.Argument(help="Which step.")],
    files: Files,
    settings: Settings = "{}",
    device: Annotated[Device, typer.Option(help="Where the network of `chains` runs.")] = "auto",
) -> None:
    """Generate molecules from noise and watch the phases they go through (paper E, figures 2, 3, 14 and 15).

    \b
    chains OUT.npz - molecules from noise, every state kept
    phases CHAINS.npz FIGURE - step sizes, bond lengths, elements, valences
    samples CHAINS.npz FIGURE - pictures of the molecules
    end CHAINS.npz OUT.extxyz - the end of the chains, for prerelax energies
    energies IN.extxyz FIGURE - energies along the end of the chains
    """
    match step:
        case "chains":
            (out,) = files_of(step, files, "OUT.npz")
            _chains(out, read_settings(GenerationStudy, settings), device)
        case "phases":
            chains, figure = files_of(step, files, "CHAINS.npz FIGURE")
            _phases(chains, figure)
        case "samples":
            chains, figure = files_of(step, files, "CHAINS.npz FIGURE")
            _samples(chains, figure)
        case "end":
            chains, out = files_of(step, files, "CHAINS.npz OUT.extxyz")
            _end(chains, out, read_settings(ChainEnd, settings))
        case "energies":
            evaluated, figure = files_of(step, files, "IN.extxyz FIGURE")
            _energies(evaluated, figure, read_settings(ChainEnd, settings))


def _chains(out: Path, settings: GenerationStudy, device: Device) -> None:
    from prerelax.denoisers.checkpoint import load_model
    from prerelax.studies.generation.chains import write_chains
    from prerelax.studies.generation.run import draw_sizes, generate

    sizes = draw_sizes(settings.sizes_like, settings.molecules, settings.seed)
    chains = generate(load_model(settings.model), sizes, settings.seed, settings.batch_size, device)
    write_chains(out, chains)


def _phases(chain: Path, figure: Path) -> None:
    from prerelax.studies.generation.chains import read_chains
    from prerelax.studies.generation.figures import phases as draw
    from prerelax.studies.generation.phases import phases, summarise_phases

    chains = read_chains(chain)
    found = phases(chains)
    numbers = summarise_phases(found, chains.timesteps)
    save_and_quote(*draw(found, chains.model, chains.timesteps), numbers, figure)


def _samples(chain: Path, figure: Path) -> None:
    from prerelax.comparison.figures.style import save
    from prerelax.studies.generation.chains import read_chains
    from prerelax.studies.generation.figures import samples as draw

    drawn, table = draw(read_chains(chain))
    save(drawn, table, figure.parent, figure.name)
    whole = int((table["allowed_atoms"] == 1).sum())
    typer.echo(f"{len(table)} molecules, {whole} with allowed valences alone")


def _end(chain: Path, out: Path, settings: ChainEnd) -> None:
    from prerelax.studies.generation.chain_end import chain_ends, write_chain_ends
    from prerelax.studies.generation.chains import read_chains

    frames = chain_ends(read_chains(chain), settings.steps, settings.molecules)
    write_chain_ends(out, frames)
    typer.echo(f"{len({frame.molecule for frame in frames}) // 2} molecules, {len(frames)} geometries")


def _energies(evaluated: Path, figure: Path, settings: ChainEnd) -> None:
    from prerelax.studies.generation.chain_end import read_chain_energies, summarise_chain_ends
    from prerelax.studies.generation.figures import chain_end as draw

    table, left_out = read_chain_energies(evaluated)
    drawn, data = draw(table, left_out, settings.target)
    save_and_quote(drawn, data, summarise_chain_ends(table), figure)
