"""`prerelax energies`: single points along a trajectory."""

from pathlib import Path
from typing import Annotated

import typer

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
