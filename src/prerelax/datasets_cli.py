"""Verbs of sets with energies and forces: QM7-X as published, one like it, splits by molecule."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from prerelax.errors import UserError

SetOut = Annotated[Path, typer.Argument(metavar="OUT.npz", help="The set to write.")]
SHOWN = 20
"""Rows left out of a set that are named one by one."""


def qm7x(
    out: SetOut,
    files: Annotated[
        list[Path], typer.Argument(metavar="HDF5...", help="1000.hdf5 ... 8000.hdf5, unpacked.")
    ],
    duplicates: Annotated[
        Path | None, typer.Option(help="DupMols.dat: leave these equilibria and their displacements out.")
    ] = None,
    displacements: Annotated[
        int | None, typer.Option(min=0, help="The first so many of every equilibrium; default: all.")
    ] = None,
) -> None:
    """Read QM7-X's published files into a set with energies and forces (PBE0+MBD)."""
    from prerelax.datasets.qm7x_hdf5 import convert, read_duplicates

    twice = read_duplicates(duplicates) if duplicates else frozenset()
    whole, left_out = convert(files, out, twice, displacements)
    for row in left_out[:SHOWN]:
        typer.echo(f"left out: {row.file} {row.molecule} {row.structure}: {row.message}", err=True)
    assert whole.displacement is not None and whole.graph is not None
    typer.echo(
        f"{len(whole)} structures, {int((whole.displacement == 0).sum())} of them equilibria, of "
        f"{len(set(whole.graph.tolist()))} molecular graphs; {len(left_out)} left out"
    )


def displace(
    shard: Annotated[
        Path, typer.Argument(metavar="IN.extxyz", help="Geometries near minima: a force field's or relaxed.")
    ],
    out: SetOut,
    engine: Annotated[str, typer.Option(help="Program of the minima and their normal modes.")] = "tblite",
    method: Annotated[str, typer.Option(help="Method of the minima, as for `prerelax relax`.")] = "GFN1-xTB",
    basis: Annotated[str | None, typer.Option(help="Basis set of a DFT method.")] = None,
    dispersion: Annotated[str | None, typer.Option(help="Dispersion correction: d3bj or d4.")] = None,
    label_engine: Annotated[str, typer.Option(help="Program of energies and forces.")] = "tblite",
    label_method: Annotated[str, typer.Option(help="Method of energies and forces.")] = "GFN2-xTB",
    label_basis: Annotated[str | None, typer.Option(help="Basis set of a DFT method.")] = None,
    label_dispersion: Annotated[str | None, typer.Option(help="Dispersion correction.")] = None,
    displacements: Annotated[int, typer.Option(min=0, help="Of every minimum.")] = 100,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="K; on average a mode has k_B T/2. QM7-X: 1500.")
    ] = 1500.0,
    seed: Annotated[int, typer.Option(help="Of the displacements.")] = 0,
    fmax: Annotated[float, typer.Option(help="Largest force on an atom of a minimum, eV/Å.")] = 0.005,
    max_heavy_atoms: Annotated[
        int | None, typer.Option(min=0, help="Skip molecules with more heavy atoms.")
    ] = 7,
    elements: Annotated[str | None, typer.Option(help="Skip molecules with others.")] = "H,C,N,O,S,Cl",
    timeout: Annotated[float | None, typer.Option(help="Seconds for one molecule at most.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Molecules side by side.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each.")] = 1,
) -> None:
    """Make a set like QM7-X: minima, displacements along their normal modes, energies and forces; resumes."""
    from prerelax.datasets.displaced import Sampling, displace
    from prerelax.engines import Level
    from prerelax.relaxation.shard import OnlyFilter

    symbols = tuple(symbol.strip() for symbol in elements.split(",")) if elements else None
    outcome = displace(
        shard,
        out,
        minima=Level(engine, method, basis, dispersion),
        labels=Level(label_engine, label_method, label_basis, label_dispersion),
        sampling=Sampling(displacements, temperature, seed),
        fmax_ev_ang=fmax,
        only=OnlyFilter(max_heavy_atoms=max_heavy_atoms, elements=symbols),
        workers=workers,
        threads=threads,
        timeout_s=timeout,
    )
    typer.echo(_counted(outcome.statuses))
    typer.echo(f"{outcome.n_structures} structures of {outcome.n_equilibria} minima")
    typer.echo(
        f"labelled now: {outcome.n_computed}, {outcome.structures_per_s:.1f} structures/s "
        f"(minima and modes: {outcome.minima_per_s:.2f}/s)"
    )


def split(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="For training*.npz and test*.npz.")],
    sets: Annotated[list[Path], typer.Argument(metavar="SET.npz...", help="Of `qm7x` or `displace`.")],
    training: Annotated[
        str, typer.Option(help="Molecular graphs: a number or a share, e.g. 80%. MoreRed: 5750.")
    ] = "80%",
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
) -> None:
    """Split sets by molecular graph into training and test, each also with its equilibria alone."""
    from prerelax.datasets.graph_split import split_sets

    for name, (graphs, equilibria, structures) in split_sets(sets, folder, _share(training), seed).items():
        typer.echo(f"{name}: {structures} structures, {equilibria} equilibria, {graphs} molecular graphs")


def _share(text: str) -> int | float:
    """A number of graphs, or a share of them below 1."""
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else int(text)
    except ValueError:
        raise UserError(
            f"--training {text}: not a number of graphs such as 5750 or a share such as 80%"
        ) from None


def _counted(statuses: "Counter[str]") -> str:
    return ", ".join(f"{n} {status}" for status, n in statuses.most_common()) or "no row"


VERBS: dict[str, Callable[..., None]] = {"qm7x": qm7x, "displace": displace, "split": split}


def add_to(app: typer.Typer) -> None:
    """Make the verbs part of the command line."""
    for name, verb in VERBS.items():
        app.command(name)(verb)
