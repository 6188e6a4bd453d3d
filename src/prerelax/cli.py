"""`prerelax <verb>`: every rule of the workflow calls exactly one of these, and so can a person.

Exit status 0 when the shard was processed, even if rows failed; 2 for a wrong call, config or file.
Verbs import what they need when called: QM engines and torch never share a process.
"""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from prerelax.choices import CheckMinimum, Dispersion, Engine, Hessian, Optimizer
from prerelax.diffusion.options import Device
from prerelax.errors import MissingProgramError, UserError
from prerelax.starts.options import DiffuseOptions, Fallback, ForceField
from prerelax.verbs import RENAMED_VERBS, SECTIONS, models
from prerelax.verbs.campaigns import init, plan, retry, status
from prerelax.verbs.energies import GoOnWithoutProgram
from prerelax.verbs.models import Calls, SamplerName, Steps
from prerelax.verbs.study import study_app

DISK_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG)

CAMPAIGNS, DENOISERS = "Campaigns", "Denoisers"


class Sectioned(TyperGroup):
    """A command line whose help lists its verbs under headings (typer's `rich_help_panel`), without Rich."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        limit = formatter.width - 6 - max(map(len, self.commands))
        for name in self.list_commands(ctx):
            command = self.commands[name]
            heading = getattr(command, "rich_help_panel", None)
            heading = heading if isinstance(heading, str) else "The chain"
            sections.setdefault(heading, []).append((name, command.get_short_help_str(limit)))
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in RENAMED_VERBS:
            now = f"prerelax {RENAMED_VERBS[args[0]]}"
            raise UserError(f"the verb {args[0]} is now `{now}`; `{now} --help` shows its files and settings")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Sectioned,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help=__doc__.splitlines()[0],
)
models_app = typer.Typer(no_args_is_help=True, help="Shipped denoisers: list, show, evaluate, import.")
app.add_typer(models_app, name="models", rich_help_panel=DENOISERS)
app.add_typer(study_app, name="study", rich_help_panel="Studies")


def _shard_suffix(out: Path) -> Path:
    if out.suffix != ".extxyz":
        raise typer.BadParameter(f"{out}: a shard is written as .extxyz")
    return out


ShardIn = Annotated[Path, typer.Argument(metavar="IN.extxyz", help="A shard that an earlier verb wrote.")]
ShardOut = Annotated[
    Path, typer.Argument(metavar="OUT.extxyz", help="The shard to write.", callback=_shard_suffix)
]
StartName = Annotated[
    str | None, typer.Option("--start", help="Name of the start; default: from the options.")
]


def _rows(text: str | None) -> slice | None:
    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not colon or not all(part.isdigit() or not part for part in (first, last)):
        raise typer.BadParameter(f"{text!r} is not of the form A:B, for example 0:100")
    return slice(int(first or 0), int(last) if last else None)


def _say(line: str) -> None:
    typer.echo(line, err=True)


@app.command()
def embed(
    molecules: Annotated[
        Path, typer.Argument(help="CSV (id,smiles[,charge,multiplicity]), .smi, .sdf or .xyz.")
    ],
    out: ShardOut,
    rows: Annotated[
        str | None, typer.Option(help="Rows A:B of the input, counted from 0, B not included.")
    ] = None,
    conformers: Annotated[int, typer.Option(min=1, help="Conformers of each molecule.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the embedding.")] = 42,
    again: Annotated[
        bool, typer.Option(help="MOLECULES is a shard: new geometries, also of molecules that came with one.")
    ] = False,
    every: Annotated[int, typer.Option(min=1, help="Each so-many-th of the rows.")] = 1,
    unlike: Annotated[
        list[Path] | None, typer.Option(help="Skip molecules with the graph of one in this shard.")
    ] = None,
    start: StartName = None,
) -> None:
    """Read molecules and give each a 3-D geometry (RDKit, ETKDGv3): the start `rdkit`."""
    from prerelax.starts.embed import embed_again, embed_shard

    if again:
        embed_again(molecules, out, seed, start or "embedded")
        return
    embed_shard(molecules, out, _rows(rows), conformers, seed, every, unlike or ())


@app.command()
def forcefield(
    shard: ShardIn,
    out: ShardOut,
    method: Annotated[ForceField, typer.Option(help="Force field.")] = "mmff94",
    max_iterations: Annotated[
        int | None, typer.Option(min=1, help="Optimizer iterations; the paper: 200; default: to convergence.")
    ] = None,
    start: StartName = None,
) -> None:
    """Minimise with a force field of RDKit."""
    from prerelax.starts.forcefield import forcefield_shard

    default_name = method if max_iterations is None else f"{method}-{max_iterations}"
    forcefield_shard(shard, out, method, max_iterations, start or default_name)


MaxIterations = Annotated[int | None, typer.Option(min=1, help="Iterations of itp, as and jt at most.")]


@app.command()
def diffuse(
    shard: ShardIn,
    out: ShardOut,
    model: Annotated[str, typer.Option(help="A shipped denoiser's name or a model folder.")],
    epoch: Annotated[
        float | None, typer.Option(help="Of the training in the folder MODEL: what it kept then.")
    ] = None,
    sampler: SamplerName = None,
    steps: Steps = None,
    calls: Calls = None,
    max_iterations: MaxIterations = None,
    time_model: Annotated[
        str | None, typer.Option(help="Of as and itp; default: the folder `time` in the model's.")
    ] = None,
    fixed_types: Annotated[
        bool, typer.Option(help="Hold the elements fixed where the model diffuses them.")
    ] = False,
    noise_free: Annotated[
        bool, typer.Option(help="Take the mean of every reverse step: no noise drawn.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Molecules at once.")] = 128,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the noise, together with each molecule's id.")] = 0,
    trajectory: Annotated[
        Path | None, typer.Option(help="Keep every intermediate geometry (.extxyz).")
    ] = None,
    fallback: Annotated[
        Fallback, typer.Option(help="For molecules that the model does not know, breaks or is not sure of.")
    ] = "gfn2",
    workers: Annotated[int, typer.Option(min=1, help="Molecules side by side in the fallback.")] = 1,
    start: StartName = None,
) -> None:
    """Denoise geometries with a diffusion model: the last n steps of its reverse diffusion."""
    from prerelax.starts.diffuse import diffuse_shard

    words = [Path(model).name, sampler or "", f"n{steps}" if steps else ""]
    options = DiffuseOptions(
        model=model,
        epoch=epoch,
        sampler=sampler,
        steps=steps,
        calls=calls,
        max_iterations=max_iterations,
        time_model=time_model,
        fixed_types=fixed_types,
        noise_free=noise_free,
        batch_size=batch_size,
        device=device,
        seed=seed,
        fallback=fallback,
    )
    name = start or "-".join(word for word in words if word)
    diffuse_shard(shard, out, options, name, workers=workers, trajectory=trajectory)


@app.command()
def relax(
    shard: ShardIn,
    out: ShardOut,
    engine: Annotated[Engine, typer.Option(help="Program.")],
    method: Annotated[str, typer.Option(help="GFN2-xTB, GFN1-xTB, qm9, HF, a functional; a model for mlff.")],
    basis: Annotated[str | None, typer.Option(help="Basis set of a DFT method.")] = None,
    dispersion: Annotated[Dispersion | None, typer.Option(help="Dispersion correction.")] = None,
    solvent: Annotated[str | None, typer.Option(help="Implicit solvent, e.g. water.")] = None,
    solvent_model: Annotated[
        str | None, typer.Option(help="smd, c-pcm, ief-pcm (pyscf); alpb, gbsa, c-pcm (tblite).")
    ] = None,
    optimizer: Annotated[
        Optimizer | None,
        typer.Option(help="Default: two-level with a DFT program, otherwise bfgs-hessian."),
    ] = None,
    hessian: Annotated[
        Hessian, typer.Option(help="Cheap level of bfgs-hessian, two-level and --check-minimum.")
    ] = "auto",
    check_minimum: Annotated[
        CheckMinimum, typer.Option(help="Is the end a minimum? By the cheap level's Hessian or the target's.")
    ] = "none",
    kick: Annotated[bool, typer.Option("--kick", help="Leave a saddle point and relax again.")] = False,
    fmax: Annotated[float, typer.Option(help="Largest force on an atom at convergence, eV/Å.")] = 0.03,
    max_steps: Annotated[int, typer.Option(min=1, help="Optimizer steps at most.")] = 1000,
    timeout: Annotated[float | None, typer.Option(help="Seconds for one molecule at most.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Molecules side by side.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each molecule.")] = 1,
    max_atoms: Annotated[int | None, typer.Option(min=1, help="Skip molecules with more atoms.")] = None,
    max_heavy_atoms: Annotated[
        int | None, typer.Option(min=0, help="Skip molecules with more heavy atoms.")
    ] = None,
    trajectory: Annotated[
        Path | None, typer.Option(help="Keep every geometry, energy and force (.extxyz).")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Name of the target; default: the method.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Write the result as a start of this name instead.")
    ] = None,
    go_on_without_program: GoOnWithoutProgram = False,
) -> None:
    """Relax geometries at a level, counting steps and gradients; resumes where it was stopped."""
    from prerelax.engines import Level
    from prerelax.relaxation.optimizers import default_optimizer
    from prerelax.relaxation.shard import OnlyFilter, relax_shard, shard_without_program

    only = OnlyFilter(max_atoms=max_atoms, max_heavy_atoms=max_heavy_atoms)
    name = target or method.lower()
    try:
        relax_shard(
            shard,
            out,
            level=Level(
                engine,
                method,
                basis,
                dispersion,
                solvent=solvent,
                solvent_model=solvent_model,
            ),
            optimizer=optimizer or default_optimizer(engine),
            hessian=hessian,
            check_minimum=check_minimum,
            kick=kick,
            fmax=fmax,
            max_steps=max_steps,
            timeout_s=timeout,
            workers=workers,
            threads=threads,
            trajectory=trajectory,
            target=None if start else name,
            start=start,
            only=only,
        )
    except MissingProgramError as error:
        if start or not go_on_without_program:
            raise
        shard_without_program(shard, out, target=name, only=only, error=error)
        _say(f"prerelax: {error}")


@app.command()
def compare(
    out: Annotated[Path, typer.Argument(metavar="OUT.csv", help="One row per molecule, start and target.")],
    relaxed: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="Relaxed shards, or folders of them.")
    ],
    baseline: Annotated[str, typer.Option(help="The start that the others are compared with.")] = "mmff94",
    shards: Annotated[
        int | None, typer.Option(min=0, help="Read the first N shards of every folder.")
    ] = None,
) -> None:
    """Pair every relaxation with the baseline's: gradients saved, energy deltas, RMSD, wall time."""
    from prerelax.comparison.comparison import compare as compare_relaxations

    typer.echo(compare_relaxations(out, relaxed, baseline, shards))


@app.command()
def figures(
    comparison: Annotated[
        Path, typer.Argument(metavar="COMPARISON.csv", help="What `prerelax compare` wrote.")
    ],
    outdir: Annotated[Path, typer.Argument(help="Folder of the figures: PDF, PNG and the CSV behind each.")],
    baseline: Annotated[str, typer.Option(help="The start that the others are compared with.")] = "mmff94",
) -> None:
    """Draw a campaign's figures."""
    from prerelax.comparison.figures import make_figures

    for path in make_figures(comparison, outdir, baseline):
        _say(str(path))


@app.command(rich_help_panel=DENOISERS)
def train(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG.yaml", help="Network, data, loss and budget.")
    ] = None,
    settings: Annotated[
        str | None, typer.Option(help="The config itself as JSON, as a campaign hands it on.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint in the run's folder.")] = False,
    max_hours: Annotated[
        float | None, typer.Option(help="Wall-clock budget, in place of the config's.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the run lives, in place of the config's.")
    ] = None,
) -> None:
    """Train a denoiser; the learning rate reaches its end when the budget does."""
    from prerelax.training import train as train_denoiser
    from prerelax.training.config import chosen_config

    train_denoiser(chosen_config(config, settings), resume, max_hours, folder)


@app.command(rich_help_panel=CAMPAIGNS)
def schema(
    out: Annotated[Path | None, typer.Argument(help="File; default: standard output.")] = None,
) -> None:
    """Print the JSON schema of a campaign config, for editors."""
    from prerelax.studies import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text)


for verb in (init, plan, status, retry):
    app.command(rich_help_panel=CAMPAIGNS)(verb)
for name, models_verb in models.VERBS.items():
    models_app.command(name)(models_verb)
for heading, verbs in SECTIONS.items():
    for name, section_verb in verbs.items():
        app.command(name, rich_help_panel=heading)(section_verb)


def main() -> None:
    """Run a verb; a mistake of the user's is one sentence and exit status 2, without a traceback."""
    # Waiting threads that spin make a busy machine many times slower. OpenMP reads this when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        app()
    except UserError as error:
        _say(f"prerelax: {error}")
        sys.exit(2)
    except OSError as error:
        if error.errno not in DISK_REFUSES:
            raise
        place = f"{error.filename}: " if error.filename else ""
        _say(f"prerelax: {place}{error.strerror}; run again once the disk takes files")
        sys.exit(2)
