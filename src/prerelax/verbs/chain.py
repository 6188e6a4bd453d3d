"""The verbs of the chain: molecules, starts, relaxations, comparison, figures; and single points.

Each hands the models of its options on. Verbs import what they need when called: QM engines and torch never
share a process.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prerelax.errors import MissingProgramError, several
from prerelax.molecules.status import counted
from prerelax.relaxation.settings import Relaxation, Resources, SinglePoints
from prerelax.site_file import allow_calculators
from prerelax.starts.options import DiffuseOptions, EmbedOptions, ForcefieldOptions
from prerelax.verbs.options import AllowCalculators, FromSettings, takes_models

if TYPE_CHECKING:
    from prerelax.records.record import Record


def _shard_suffix(out: Path) -> Path:
    if out.suffix != ".extxyz":
        raise typer.BadParameter(f"{out}: a shard is written as .extxyz")
    return out


ShardIn = Annotated[Path, typer.Argument(metavar="IN.extxyz", help="A shard that an earlier verb wrote.")]
ShardOut = Annotated[
    Path, typer.Argument(metavar="OUT.extxyz", help="The shard to write.", callback=_shard_suffix)
]
StartName = Annotated[
    str | None, typer.Option("--start", help="Name of the start. Default: from the options, e.g. mmff94-200")
]
BaselineStart = Annotated[str, typer.Option("--baseline", help="Start that the others were compared with")]
Unlike = Annotated[
    list[Path] | None, typer.Option(help="Leave out molecules whose graph a molecule of this shard has")
]
Trajectory = Annotated[Path | None, typer.Option(help="Keep every intermediate geometry (.extxyz)")]
GoOnWithoutProgram = Annotated[
    bool,
    typer.Option(
        "--go-on-without-program",
        help="Where the engine is not installed, write its rows with the status resource_error",
    ),
]


OF_SETTINGS = frozenset({"density_fitting", "tight", "only", "options", "elements", "electrons", "learned"})
SAMPLED_IN_SETTINGS = frozenset({"level", "epoch", "time_model", "calls", "max_iterations"})


def _tell(out: Path, rows: Sequence["Record"]) -> None:
    typer.echo(f"{out}: {several(len(rows), 'row')}, {counted(row.status for row in rows)}")


def _rows(text: str | None) -> slice | None:
    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not colon or not all(part.isdigit() or not part for part in (first, last)):
        raise typer.BadParameter(f"{text!r} is not of the form A:B, for example 0:100")
    return slice(int(first or 0), int(last) if last else None)


@takes_models
def embed(
    molecules: Annotated[
        Path,
        typer.Argument(
            metavar="MOLECULES",
            help="CSV (id,smiles[,charge,multiplicity]), .smi, .sdf, .xyz, .extxyz or a shard.",
        ),
    ],
    out: ShardOut,
    options: Annotated[EmbedOptions, FromSettings(without=frozenset({"stereo", "constraints"}))],
    rows: Annotated[
        str | None, typer.Option(help="Only the rows from A to B, as A:B; counted from 0, without B")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Keep every N-th row")] = 1,
    unlike: Unlike = None,
    start: StartName = None,
) -> None:
    """Read molecules and give each a 3-D geometry (RDKit, ETKDGv3): the start `rdkit`.

    Given a shard, it embeds every molecule again, even those that came with a geometry.
    """
    from prerelax.records.shard import is_shard
    from prerelax.starts.embed import embed_again, embed_shard

    if is_shard(molecules):
        made = embed_again(molecules, out, options.seed, start or "embedded")
    else:
        taken = _rows(rows) or slice(0, None)
        taken = slice(taken.start, taken.stop, every)
        made = embed_shard(
            molecules,
            out,
            taken,
            options.conformers,
            options.seed,
            unlike or (),
            options.stereo,
            options.constraints,
        )
    _tell(out, made)


@takes_models
def forcefield(
    shard: ShardIn,
    out: ShardOut,
    options: Annotated[ForcefieldOptions, FromSettings(without=frozenset({"fallback"}))],
    start: StartName = None,
) -> None:
    """Minimise with a force field."""
    from prerelax.starts.forcefield import forcefield_shard

    method, most = options.method, options.max_iterations
    default_name = method if most is None else f"{method}-{most}"
    name = start or default_name
    _tell(out, forcefield_shard(shard, out, method, most, name, options.fallback))


@takes_models
def diffuse(
    shard: ShardIn,
    out: ShardOut,
    options: Annotated[DiffuseOptions, FromSettings(without=SAMPLED_IN_SETTINGS)],
    trajectory: Trajectory = None,
    workers: Annotated[int, typer.Option(min=1, help="Molecules that the fallback relaxes in parallel")] = 1,
    known: Annotated[
        list[Path] | None,
        typer.Option(metavar="SHARD", help="Relaxed before: these minima are taken, with their gradients"),
    ] = None,
    start: StartName = None,
) -> None:
    """Denoise geometries with a diffusion model; what it is unsure of falls back to GFN2-xTB."""
    from prerelax.starts.diffuse import diffuse_shard

    steps = f"n{options.steps}" if options.steps else ""
    words = [Path(options.model).name, options.sampler or "", steps]
    name = start or "-".join(filter(None, words))
    made = diffuse_shard(shard, out, options, name, workers=workers, trajectory=trajectory, known=known or ())
    _tell(out, made)


@takes_models
def relax(
    shard: ShardIn,
    out: ShardOut,
    relaxation: Annotated[Relaxation, FromSettings(without=OF_SETTINGS)],
    resources: Resources,
    trajectory: Annotated[
        Path | None, typer.Option(help="Keep every geometry, energy and force (.extxyz)")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Name of the target. Default: the method")] = None,
    start: Annotated[
        str | None, typer.Option(help="Write the result as a start of this name instead")
    ] = None,
    go_on_without_program: GoOnWithoutProgram = False,
    allow: AllowCalculators = None,
) -> None:
    """Relax geometries at a level, counting steps and gradients; resumes where it was stopped."""
    from prerelax.relaxation.shard import Named, relax_shard, shard_without_program

    allow_calculators(allow or ())
    named = Named(start=start) if start else Named(target=target or relaxation.method.lower())
    try:
        relax_shard(shard, out, relaxation, named=named, resources=resources, trajectory=trajectory)
    except MissingProgramError as error:
        if named.target is None or not go_on_without_program:
            raise
        shard_without_program(shard, out, target=named.target, only=relaxation.only, error=error)
        typer.echo(f"prerelax: {error}", err=True)


@takes_models
def energies(
    trajectory: Annotated[
        Path,
        typer.Argument(metavar="IN.extxyz", help="What `prerelax diffuse --trajectory` wrote, or a shard."),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT.extxyz", help="Its geometries with energies and forces.")
    ],
    settings: Annotated[SinglePoints, FromSettings(options=False)],
    resources: Resources,
    every: Annotated[int, typer.Option(min=1, help="Keep every N-th geometry, and the last one")] = 1,
    molecules: Annotated[int | None, typer.Option(min=1, help="Only the first N molecules")] = None,
    go_on_without_program: GoOnWithoutProgram = False,
) -> None:
    """Evaluate every geometry of a trajectory or shard, nothing moved; resumes where it was stopped."""
    from prerelax.relaxation.single_points import Chosen, single_points

    statuses = single_points(
        trajectory,
        out,
        settings.level,
        chosen=Chosen(every, molecules, settings.only),
        resources=resources,
        go_on_without_program=go_on_without_program,
    )
    typer.echo(counted(statuses.elements(), "no geometry"))


def compare(
    out: Annotated[Path, typer.Argument(metavar="OUT.csv", help="One row per molecule, start and target.")],
    relaxed: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="Relaxed shards, or folders of them.")
    ],
    baseline: Annotated[
        str,
        typer.Option(
            metavar="START[@TARGET]",
            help="What the others are compared with: a start at each target; a start at one target, for "
            "all of its level; or none",
        ),
    ] = "mmff94",
    shards: Annotated[int | None, typer.Option(min=0, help="Read the first N shards of every folder")] = None,
) -> None:
    """Pair every relaxation with the baseline's: gradients saved, energy deltas, RMSD, wall time."""
    from prerelax.campaign.baseline import Baseline
    from prerelax.comparison.comparison import compare as compare_relaxations

    typer.echo(compare_relaxations(out, relaxed, Baseline.read(baseline), shards))


def figures(
    comparison: Annotated[
        Path, typer.Argument(metavar="COMPARISON.csv", help="What `prerelax compare` wrote.")
    ],
    outdir: Annotated[
        Path,
        typer.Argument(metavar="OUTDIR", help="Folder of the figures: PDF, PNG and the CSV behind each."),
    ],
    baseline: BaselineStart = "mmff94",
) -> None:
    """Draw a campaign's figures."""
    from prerelax.comparison.figures import make_figures

    for path in make_figures(comparison, outdir, baseline):
        typer.echo(str(path), err=True)


VERBS: dict[str, Callable[..., None]] = {
    "embed": embed,
    "forcefield": forcefield,
    "diffuse": diffuse,
    "relax": relax,
    "compare": compare,
    "figures": figures,
}
"""The chain, in its order."""
