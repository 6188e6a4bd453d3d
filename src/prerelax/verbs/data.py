"""`prerelax data`: QM9, QM7-X and GEOM as published, sets like them, splits, inputs of known minima."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from prerelax.errors import UserError, several
from prerelax.molecules.status import counted
from prerelax.records.atomic_write import write_text_atomically
from prerelax.relaxation.settings import Resources
from prerelax.set_making.options import DisplacementOptions, MinimaOptions, PilotOptions
from prerelax.starts.options import DiffusedOptions
from prerelax.verbs.chain import ShardOut, Unlike
from prerelax.verbs.options import FromSettings, takes_models

ShardIn = Annotated[Path, typer.Argument(metavar="IN.extxyz", help="A shard of minima.")]
SetOut = Annotated[Path, typer.Argument(metavar="OUT.npz", help="The set to write.")]
SplitBy = Literal["molecule", "conformer"]
SHOWN = 20
"""Rows left out of a set that are named one by one."""


def check(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE...]", help="Downloads, under their published names.")
    ] = None,
) -> None:
    """Compare downloads of QM9, QM7-X and GEOM with the published check sums, or list these."""
    from prerelax.datasets.downloads import check_downloads, published

    if not files:
        typer.echo(published())
        return
    wrong = 0
    for path, complaint in check_downloads(files):
        typer.echo(f"{path}: {complaint or 'as published'}")
        wrong += bool(complaint)
    if wrong:
        raise UserError(f"not as published: {wrong} of {several(len(files), 'file')}")


def qm9(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where training, validation and test.npz are written.")
    ],
    archive: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", help="dsgdb9nsd.xyz.tar.bz2, or a folder of its files.")
    ],
    inconsistent: Annotated[
        Path,
        typer.Argument(metavar="INCONSISTENT", help="uncharacterized.txt: leave these molecules out."),
    ],
    split: Annotated[
        Literal["edm", "morered"],
        typer.Option(help="edm: 100 000 for training, a tenth for test; morered: 55 000, 10 000, the rest."),
    ],
    limit: Annotated[
        int | None, typer.Option(min=3, help="Only the first N molecules, split in the same proportions.")
    ] = None,
) -> None:
    """Read QM9 as published into the sets of a paper's split, each in random order."""
    from prerelax.datasets.qm9 import make_sets

    for name, n in make_sets(folder, archive, inconsistent, split, limit).items():
        typer.echo(f"{folder / name}.npz: {n} molecules")


def qm7x(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="A set to write (.npz); or a folder, for training*.npz and test*.npz."
        ),
    ],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="1000.xz ... 8000.xz, or .hdf5.")],
    duplicates: Annotated[
        Path | None, typer.Option(help="DupMols.dat: leave these equilibria and their displacements out.")
    ] = None,
    displacements: Annotated[
        int | None, typer.Option(min=0, help="Only the first N of every equilibrium. Default: all.")
    ] = None,
    training: Annotated[
        str, typer.Option(help="Of a folder: molecular graphs to train on, a number or a share such as 80%.")
    ] = "5750",
) -> None:
    """Read QM7-X as published (PBE0+MBD): one set, or sets for training and test, split by molecular graph.

    MoreRed's paper has 5750 graphs for training and its validation.
    """
    from prerelax.datasets.qm7x_hdf5 import convert, convert_and_split, read_duplicates

    twice = read_duplicates(duplicates) if duplicates else frozenset()
    if out.suffix == ".npz":
        whole, left_out = convert(files, out, twice, displacements)
        counts = {"all": whole.counts}
    else:
        counts, left_out = convert_and_split(files, out, _share("--training", training), twice, displacements)
    for row in left_out[:SHOWN]:
        typer.echo(f"left out: {row.file} {row.molecule} {row.structure}: {row.message}", err=True)
    _tell_counts(counts)
    typer.echo(f"{several(len(left_out), 'structure')} left out")


@takes_models
def displace(
    shard: Annotated[
        Path, typer.Argument(metavar="IN.extxyz", help="Geometries near minima: a force field's or relaxed.")
    ],
    out: SetOut,
    options: Annotated[DisplacementOptions, FromSettings(options=False)],
    resources: Resources,
) -> None:
    """Generate a set like QM7-X: minima, displacements along normal modes, energies and forces; resumes."""
    from prerelax.set_making.displaced import displace

    outcome = displace(shard, out, options, resources=resources)
    typer.echo(counted(outcome.statuses.elements()))
    typer.echo(f"{outcome.n_structures} structures of {outcome.n_equilibria} minima")
    typer.echo(
        f"labelled now: {outcome.n_computed}, {outcome.structures_per_s:.1f} structures/s "
        f"(minima and modes: {outcome.minima_per_s:.2f}/s)"
    )


def split(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where training*.npz and test*.npz are written.")
    ],
    sets: Annotated[
        list[Path], typer.Argument(metavar="SET.npz...", help="What `qm7x` or `displace` wrote.")
    ],
    training: Annotated[
        str,
        typer.Option(
            help="Molecular graphs to train on: a number, or a share such as 80%. MoreRed's paper: 5750."
        ),
    ] = "80%",
    seed: Annotated[int, typer.Option(help="Random seed of the split.")] = 0,
) -> None:
    """Split sets by molecular graph into training and test, each also with its equilibria alone."""
    from prerelax.datasets.graph_split import split_sets

    _tell_counts(split_sets(sets, folder, _share("--training", training), seed))


def geom(
    out: SetOut,
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="A .msgpack, also as .tar.gz; rdkit_folder; or EDM's .npy."),
    ],
    lowest: Annotated[
        int, typer.Option(min=1, help="Keep the N conformers of lowest energy; the paper: 30.")
    ] = 30,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N molecules")] = None,
    test: Annotated[
        str,
        typer.Option(help="Share of structures set aside as OUT-test.npz, e.g. 10%, with their SMILES."),
    ] = "0%",
    split: Annotated[
        SplitBy,
        typer.Option(help="Set aside whole molecules, or single conformers as the paper did, which leaks."),
    ] = "molecule",
    seed: Annotated[int, typer.Option(help="Random seed of the split.")] = 0,
) -> None:
    """Read GEOM's published conformers (GFN2-xTB) into a training set; nothing in the files is executed."""
    from prerelax.datasets.geom import SPLITS, geom_structures, molecules_of
    from prerelax.datasets.structures import write_npz

    share = _share("--test", test)
    if not 0 <= share < 1 or (share == 0 and test != "0%"):
        raise UserError(f"--test {test}: not a share of the structures below 100%, such as 10%")
    found = geom_structures(source, lowest, limit)
    structures = found.structures
    assert structures.graphs is not None
    for molecule in found.left_out[:SHOWN]:
        typer.echo(f"left out: {molecule.name}: {molecule.message}", err=True)
    typer.echo(
        f"{len(structures)} structures of {len(set(structures.graphs.tolist()))} molecular graphs; "
        f"{len(found.left_out)} molecules left out"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    if share == 0:
        write_npz(out, structures)
        return
    parts = {name: make(structures, share, seed) for name, make in SPLITS.items()}
    for name, part in parts.items():
        typer.echo(
            f"split by {name}: {len(part.training)} for training, {len(part.test)} for test, "
            f"{100 * part.leaking:.0f} % of which have conformers in training"
        )
    write_npz(out, parts[split].training)
    write_npz(out.with_name(f"{out.stem}-test.npz"), parts[split].test)
    if molecules := molecules_of(found, parts[split].test, seed):
        lines = "".join(f"{smiles} {i}\n" for i, smiles in molecules)
        write_text_atomically(out.with_name(f"{out.stem}-test.smi"), lines)
        typer.echo(f"{len(molecules)} molecules in {out.stem}-test.smi, in random order")


@takes_models
def fragments(
    molecules: Annotated[
        list[Path], typer.Argument(metavar="MOLECULES...", help="One SMILES a line (.smi), or shards.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.smi", help="One fragment a line, each once.")],
    options: Annotated[PilotOptions, FromSettings(options=False)],
    unlike: Unlike = None,
) -> None:
    """Cut drug-like molecules into fragments around their BRICS bonds: cheap training structures.

    Given shards and `count` in the settings, choose those that cover all environments at least cost.
    """
    from prerelax.set_making.fragments import write_parts
    from prerelax.set_making.pilot import write_pilot

    if options.count is not None:
        typer.echo(f"{write_pilot(molecules, out, options)} fragments")
        return
    if len(molecules) > 1:
        raise UserError("without a count fragments are cut of one .smi file")
    if molecules[0].suffix in (".extxyz", ".csv", ".sdf", ".npz"):
        raise UserError(
            f"{molecules[0]}: without a count fragments are cut of a .smi file, one SMILES a line; to choose "
            """some of a shard's molecules give --settings '{"count": 60}'"""
        )
    n_fragments, n_molecules = write_parts(molecules[0], out, unlike=unlike or ())
    typer.echo(f"{n_fragments} fragments of {n_molecules} molecules")


def guide(
    trajectories: Annotated[
        list[Path],
        typer.Argument(metavar="PATHS.extxyz...", help="What `prerelax relax --trajectory` wrote."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.json", help="For the setting `learned` of two-level.")],
) -> None:
    """Learn from relaxations by two-level how their level differs from the cheap one that guided them."""
    from prerelax.set_making.guide import learn_difference

    found = learn_difference(trajectories, out)
    typer.echo(
        f"{out}: {found.level} and {found.guide} differ by {len(found.terms)} terms, from "
        f"{found.n_gradients} gradients of {several(found.n_molecules, 'molecule')}"
    )


@takes_models
def minima(
    molecules: Annotated[
        Path, typer.Argument(metavar="MOLECULES", help="What `prerelax embed` reads: .smi, .csv, .sdf.")
    ],
    out: SetOut,
    options: Annotated[MinimaOptions, FromSettings(options=False)],
    resources: Resources,
    unlike: Unlike = None,
) -> None:
    """Make a training set: minima of a level, each with the MMFF94 minimum it was reached from; resumes."""
    from prerelax.set_making.minima import make_minima

    made = make_minima(molecules, out, options, unlike=unlike or (), resources=resources)
    typer.echo(counted(made.statuses.elements()))
    typer.echo(f"{made.n_minima} minima, {made.n_left_out} rows left out")
    if made.molecules_per_hour:
        typer.echo(f"relaxed now: {made.molecules_per_hour:.0f} molecules/h")


def dataset(
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The training set to write.")],
    shards: Annotated[
        list[Path], typer.Argument(metavar="SHARD...", help="Relaxed shards; or sets (.npz), to be joined.")
    ],
    starts: Annotated[
        list[Path] | None,
        typer.Option(help="Shards of the MMFF94 minima that the relaxations began from, to keep beside."),
    ] = None,
) -> None:
    """Collect the converged minima of relaxed shards as a training set, for a denoiser of that level."""
    from prerelax.set_making.relaxed import collect_relaxed, join_sets

    if all(shard.suffix == ".npz" for shard in shards):
        typer.echo(f"{join_sets(out, shards)} minima")
        return
    kept, left_out = collect_relaxed(out, shards, starts or ())
    typer.echo(f"{kept} minima, {left_out} rows left out")


def add_starts(
    inp: Annotated[Path, typer.Argument(metavar="IN", help="A training set of minima: npz or xyz.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The same with positions_mmff94.")],
) -> None:
    """Add the MMFF94 minimum that belongs to every minimum of a training set, for the loss `refinement`."""
    from prerelax.set_making.force_field_starts import add_mmff94_starts

    kept, left_out = add_mmff94_starts(inp, out, len(os.sched_getaffinity(0)))
    typer.echo(f"{kept} molecules, {left_out} without an MMFF94 minimum of their own bonds left out")


def displaced(
    shard: ShardIn,
    set_path: Annotated[
        Path,
        typer.Argument(
            metavar="SET.npz", help="What `data displace` or `data qm7x` wrote, with these minima in it."
        ),
    ],
    out: ShardOut,
    start: Annotated[str, typer.Option(help="Name of the start")] = "displaced",
) -> None:
    """Take three displacements of every minimum from a set: smallest, middle and largest RMSD."""
    from prerelax.starts.known_minima import displaced_shard

    displaced_shard(shard, out, set_path, start)


@takes_models
def diffused(
    shard: ShardIn,
    out: ShardOut,
    options: Annotated[DiffusedOptions, FromSettings(options=False)],
    start: Annotated[str, typer.Option(help="Name of the start")] = "diffused",
) -> None:
    """Add to every minimum the noise that MoreRed's schedule has at given steps."""
    from prerelax.starts.known_minima import diffused_shard

    diffused_shard(shard, out, options.steps, start, options.seed)


def set_aside(
    config: Annotated[Path, typer.Argument(metavar="TRAINING.yaml", help="The config of a training.")],
    out: SetOut,
) -> None:
    """Write a training's held-out molecules (`data.validation`), on which its models are compared."""
    from prerelax.datasets.structures import write_npz
    from prerelax.training.run import set_aside

    structures = set_aside(config)
    write_npz(out, structures)
    typer.echo(f"{len(structures)} molecules")


def _tell_counts(parts: Mapping[str, tuple[int, int, int]]) -> None:
    for name, (graphs, equilibria, structures) in parts.items():
        typer.echo(f"{name}: {structures} structures, {equilibria} equilibria, {graphs} molecular graphs")


def _share(option: str, text: str) -> int | float:
    """A number of graphs, or a share of them below 1, as an option says it."""
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else int(text)
    except ValueError:
        raise UserError(
            f"{option} {text}: not a number of graphs such as 5750 or a share such as 80%"
        ) from None


VERBS: dict[str, Callable[..., None]] = {
    "check": check,
    "qm9": qm9,
    "qm7x": qm7x,
    "displace": displace,
    "displaced": displaced,
    "diffused": diffused,
    "split": split,
    "geom": geom,
    "fragments": fragments,
    "guide": guide,
    "minima": minima,
    "dataset": dataset,
    "add-starts": add_starts,
    "set-aside": set_aside,
}
