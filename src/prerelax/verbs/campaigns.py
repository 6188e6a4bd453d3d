"""`prerelax run | init | plan | status | retry | export | verify | report | self-test | schema`."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from prerelax.site_file import allow_calculators
from prerelax.verbs.options import AllowCalculators

Config = Annotated[
    Path, typer.Argument(metavar="CAMPAIGN", help="The campaign's config, or its folder in results/.")
]


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder to make, or the current one.")
    ] = Path(),
) -> None:
    """Start a folder for campaigns: Snakefile, the example's config, the papers' configs, a SLURM profile."""
    from prerelax.campaign.new_folder import start_folder

    start_folder(folder)
    typer.echo(
        f"{folder.resolve()}: run `snakemake --cores all` there for the example in config.yaml, "
        "or add `--configfile my-campaign.yaml` for a campaign of your own"
    )


def run(
    molecules: Annotated[
        Path, typer.Argument(metavar="MOLECULES", help="CSV with smiles, .smi, .sdf, .xyz, .gjf, .out …")
    ],
    target: Annotated[
        list[str],
        typer.Option(
            metavar="LEVEL",
            help='As "B3LYP-D3BJ/def2-SVP", "GFN2-xTB", "PBE0-D4/def2-TZVP SMD(water)"; may be given several '
            "times",
        ),
    ],
    start: Annotated[
        str, typer.Option(help="auto, mmff94, gfn2, uff, rdkit, or a denoiser's name or folder")
    ] = "auto",
    compare: Annotated[
        str, typer.Option(metavar="all|none|N", help="Molecules that usual practice is relaxed for as well")
    ] = "none",
    conformers: Annotated[
        int,
        typer.Option(
            min=1,
            max=10_000,
            help="Conformers of each molecule; those are relaxed that are different and within 3 kcal/mol of "
            "the lowest at GFN2-xTB",
        ),
    ] = 1,
    cores: Annotated[int | None, typer.Option(min=1, help="Cores to use at once. Default: all")] = None,
    profile: Annotated[
        str | None, typer.Option(help="Snakemake profile, for example slurm, which then sets cores and jobs")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only write the campaign's file and estimate its cost")
    ] = False,
) -> None:
    """Relax molecules to minima in one line. Ctrl-C stops it; the same line continues."""
    from prerelax.engines.written import written_level
    from prerelax.runs.meant import Wanted, meant
    from prerelax.runs.run import run as run_campaign

    at_once = cores or len(os.sched_getaffinity(0))
    level, *more = map(written_level, target)
    campaign = meant(Wanted(molecules, level, start, compare, conformers, tuple(more)), at_once)
    code = run_campaign(campaign, cores=at_once, profile=profile, dry_run=dry_run, say=typer.echo)
    if code:
        raise typer.Exit(code)


def plan(
    config: Config,
    cpus: Annotated[int, typer.Option(min=1, help="Cores that the campaign may use at once.")] = 64,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs for denoising; 0: denoise on cores.")] = 0,
    profile: Annotated[
        Path | None, typer.Option(help="Snakemake profile that sets threads and limits, e.g. slurm.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=1, help="Size shards that have not begun so that a job takes so many minutes."),
    ] = None,
    measure: Annotated[
        bool, typer.Option(help="Time a few gradients at each level first, instead of guessing.")
    ] = False,
    write: Annotated[
        bool, typer.Option(help="Let the campaign use these shards, minutes and memory from now on.")
    ] = False,
) -> None:
    """Estimate a campaign's jobs, core hours and end, before anything runs."""
    from prerelax.campaign.plan import make_plan, plan_text, write_plan
    from prerelax.campaign.profile import Profile, read_profile
    from prerelax.campaign.schedule import Machines
    from prerelax.campaign.stages import opened_campaign

    campaign, directory = opened_campaign(config)
    said = read_profile(profile) if profile else Profile()
    timed = None
    if measure:
        from prerelax.campaign.timing import timed_gradients

        timed = timed_gradients(campaign, directory, lambda line: typer.echo(line, err=True))
    planned = make_plan(campaign, directory, wanted_minutes=minutes, threads=said.threads, timed=timed)
    typer.echo(plan_text(planned, Machines(cpus, gpus, said.jobs or 200), said.groups))
    if write:
        write_plan(planned, said.longest_minutes or 1440, said.node_mem_mb or 128_000)
        typer.echo(f"written: {planned.results}/shards.csv, {planned.results}/plan.json")


def status(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show how far a campaign is: shards, failures, rows per hour, expected end. Only reads its files."""
    from prerelax.campaign.stages import opened_campaign
    from prerelax.campaign.status import campaign_status, status_json, status_text

    found = campaign_status(*opened_campaign(config))
    typer.echo(status_json(found) if as_json else status_text(found))


def retry(
    config: Config,
    statuses: Annotated[
        list[str],
        typer.Option("--status", help="Status of the rows to compute again; may be given several times."),
    ],
    target: Annotated[str | None, typer.Option(help="Only relaxations at this target.")] = None,
    start: Annotated[str | None, typer.Option(help="Only relaxations from (or to) this start.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be done.")] = False,
) -> None:
    """Mark relaxations by status: the next run computes them again and keeps the others."""
    from prerelax.campaign.retry import retry as retry_relaxations
    from prerelax.campaign.retry import retry_text
    from prerelax.campaign.stages import opened_campaign

    names = [name for each in statuses for name in each.split(",") if name]
    retried = retry_relaxations(*opened_campaign(config), names, target=target, start=start, dry_run=dry_run)
    typer.echo(retry_text(retried, dry_run))


def verify(
    config: Config,
    rows: Annotated[
        int, typer.Argument(metavar="[ROWS]", min=0, help="Relaxed rows to compute again at each target.")
    ] = 5,
) -> None:
    """Check a finished campaign: every row accounted for, every file whole, a sample computed again."""
    from prerelax.campaign.stages import opened_campaign
    from prerelax.comparison.verification import verify

    campaign, directory = opened_campaign(config)
    verdict = verify(campaign, directory, rows, lambda line: typer.echo(line, err=True))
    typer.echo(verdict.text)
    if verdict.problems:
        raise typer.Exit(1)


def export(
    config: Config,
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="Default: minima.* in the results.")
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="sdf, xyz, ase-db, csv, qcschema; orca or gaussian: a folder of inputs; si: supporting "
            "information",
        ),
    ] = "sdf",
    target: Annotated[
        str | None,
        typer.Option(help="Whose minima to write. Default: the first target of a DFT program"),
    ] = None,
    lowest: Annotated[
        bool, typer.Option("--lowest", help="Only the lowest conformer of each molecule")
    ] = False,
    template: Annotated[
        Path | None,
        typer.Option(
            help="An ORCA or Gaussian input with {charge}, {multiplicity}, {geometry}, {name} in it"
        ),
    ] = None,
) -> None:
    """Write the minima for another program, with ids, energies and the input's columns."""
    from prerelax.exports.export import export as export_minima

    typer.echo(export_minima(config, to, out=out, target=target, lowest=lowest, template=template))


def report(
    config: Config,
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT.html", help="Default: report.html in that folder.")
    ] = None,
) -> None:
    """Write a campaign's page: what was saved against usual practice, figures, every molecule."""
    from prerelax.campaign.stages import results_of
    from prerelax.comparison.page import write_page

    typer.echo(str(write_page(results_of(config), out)))


def self_test(config: Config, allow: AllowCalculators = None) -> None:
    """Try a campaign's ASE calculators: units, forces, charges. Exit 1 where one is wrong."""
    from prerelax.campaign.calculators import calculators
    from prerelax.campaign.stages import opened_campaign
    from prerelax.engines.honesty import report_trials

    allow_calculators(allow or ())
    levels = calculators(opened_campaign(config)[0])
    if not levels:
        typer.echo("every engine of this campaign is part of prerelax: nothing to try")
    write = partial(typer.echo, nl=False)
    passed = [report_trials(name, level, write) for name, level in levels.items()]
    if not all(passed):
        raise typer.Exit(1)


def schema(
    out: Annotated[Path | None, typer.Argument(metavar="FILE", help="Default: standard output.")] = None,
) -> None:
    """Print the JSON schema of a campaign config, for editors."""
    from prerelax.studies import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text)


VERBS: dict[str, Callable[..., None]] = {
    "run": run,
    "init": init,
    "plan": plan,
    "status": status,
    "retry": retry,
    "export": export,
    "verify": verify,
    "report": report,
    "self-test": self_test,
    "schema": schema,
}
