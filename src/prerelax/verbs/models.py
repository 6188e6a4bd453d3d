"""Verbs of `prerelax models`: the shipped denoisers, published ones, and models in stages."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from prerelax.diffusion.options import Device, SamplerOptions
from prerelax.verbs.options import FromSettings, takes_models

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="A shipped denoiser's name or a model folder.")
]


def list_models() -> None:
    """List the shipped denoisers."""
    from prerelax.denoisers.checkpoint import list_models as names

    for name in names():
        typer.echo(name)


def show_model(name: ModelName) -> None:
    """Show a denoiser's card: data, command, figures."""
    from prerelax.denoisers.checkpoint import CARD, find_model

    typer.echo((find_model(name) / CARD).read_text())


SAMPLER_IN_SETTINGS = frozenset(SamplerOptions.model_fields) - {"sampler", "steps", "device"}


@takes_models
def evaluate(
    name: ModelName,
    data: Annotated[Path, typer.Argument(metavar="DATA.npz", help="Structures with positions_mmff94.")],
    options: Annotated[SamplerOptions, FromSettings(without=SAMPLER_IN_SETTINGS)],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N molecules")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, noise-free unless told")] = False,
) -> None:
    """Measure errors of denoised geometries against DFT references, beside those of the start.

    An EDM prints the whole table of its card; with --steps or --sampler, a row without noise and one with it.
    """
    from prerelax.denoisers.checkpoint import load_model
    from prerelax.diffusion.evaluation import card_table, evaluate_card, evaluate_model

    model = load_model(name)
    said = options.model_fields_set - {"device"}
    sampler = options.sampler or model.sampler_defaults.get("name", "edm")
    if not said and not as_json and sampler == "edm":
        typer.echo(card_table(evaluate_card(model, data, limit, options.device)))
        return
    asked = options if "noise_free" in said else options.model_copy(update={"noise_free": True})
    both = "noise_free" not in said and not as_json and sampler != "few"
    noisy = [options.model_copy(update={"noise_free": False})] if both else []
    rows = [evaluate_model(model, data, each, limit) for each in (asked, *noisy)]
    typer.echo(json.dumps(rows[0]) if as_json else card_table(rows))


def calibrate_model(
    name: ModelName,
    data: Annotated[
        Path, typer.Argument(metavar="DATA.npz", help="Training structures with positions_mmff94.")
    ],
    limit: Annotated[int, typer.Option(min=1, help="Molecules to denoise, spread over the set.")] = 1000,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = "auto",
    reference_model: Annotated[
        str | None,
        typer.Option(help="A denoiser trained on noise, whose residuals count instead. Default: as before."),
    ] = None,
) -> None:
    """Calibrate a denoiser's confidence on molecules that it knows, and write it into its config.

    `prerelax diffuse --fallback gfn2` does not trust geometries beyond the limit. The energy left is what a
    denoised start is expected to lie above its minimum.
    """
    from prerelax.diffusion.confidence import calibrate

    typer.echo(json.dumps(calibrate(name, data, limit, device, reference_model)))


def import_edm_weights(
    weights: Annotated[Path, typer.Argument(help="generative_model*.npy of an EDM, or an npz of it.")],
    arguments: Annotated[Path, typer.Argument(metavar="ARGS", help="Its args.pickle, or - without one.")],
    out: Annotated[Path, typer.Argument(help="The model folder to write.")],
) -> None:
    """Turn published EDM weights into a model folder; nothing in them is executed."""
    from prerelax.denoisers.import_edm import import_edm

    import_edm(weights, None if str(arguments) == "-" else arguments, out)


def import_morered_weights(
    model: Annotated[Path, typer.Argument(metavar="MODEL.pt", help="A published MoreRed model.")],
    out: Annotated[Path, typer.Argument(help="The model folder to write.")],
) -> None:
    """Turn a published MoreRed model into a model folder; nothing in it is executed."""
    from prerelax.denoisers.import_morered import import_morered

    import_morered(model, out)


def denoise_starts(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="A shipped denoiser's name or a folder.")],
    inp: Annotated[Path, typer.Argument(metavar="IN.npz", help="A training set with starts.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The same, its starts denoised.")],
    calls: Annotated[int | None, typer.Option(min=1, help="Of sampler few; default: the model's.")] = None,
) -> None:
    """Make the training set of a model's next stage: its starts, denoised by the model."""
    from prerelax.diffusion.staged import denoise_starts

    kept, left_out = denoise_starts(name, inp, out, calls)
    typer.echo(f"{kept} molecules, {left_out} left out")


def join(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The model folder to write.")],
    stages: Annotated[list[str], typer.Argument(metavar="MODEL...", help="First to last: names, folders.")],
) -> None:
    """Join stages to one model; each is called once, at its own step."""
    from prerelax.diffusion.staged import join_stages

    joined = join_stages(stages, out)
    typer.echo(
        f"{out}: {joined.sampler_defaults['calls']} calls from step {joined.sampler_defaults['steps']}"
    )


def train(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="CONFIG.yaml", help="Network, data, loss and budget; or a campaign's config"),
    ] = None,
    denoiser: Annotated[
        str | None,
        typer.Argument(help="Which of the campaign's denoisers to train"),
    ] = None,
    settings: Annotated[
        str | None, typer.Option(help="The config itself as JSON, as a campaign hands it on")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in the run's folder")
    ] = False,
    max_hours: Annotated[
        float | None, typer.Option(help="Wall-clock budget in hours, in place of the config's")
    ] = None,
) -> None:
    """Train a denoiser; the learning rate is annealed over the time budget."""
    from prerelax.errors import UserError
    from prerelax.training import train as train_denoiser
    from prerelax.training.config import chosen_config

    if denoiser is None:
        training = chosen_config(config, settings)
    elif config is None or settings is not None:
        raise UserError("give either CONFIG.yaml or --settings")
    else:
        from prerelax.campaign import trainings
        from prerelax.campaign.molecule_file import make_molecule_file
        from prerelax.campaign.stages import read_campaign

        campaign = read_campaign(config)
        make_molecule_file(campaign)  # no molecule of the campaign is trained on
        training = trainings.training(campaign, denoiser)
    train_denoiser(training, resume, max_hours)


def adapt(
    base: Annotated[str, typer.Argument(metavar="BASE", help="A relaxer: a shipped name or a model folder.")],
    pairs: Annotated[
        list[Path],
        typer.Argument(
            metavar="PAIRS...", help="Sets of `data minima` (.npz), or shards relaxed at a target."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The model folder to write.")],
    max_minutes: Annotated[
        float | None, typer.Option(min=0.1, help="End earlier; default: in proportion to the pairs.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Teach a denoiser another level of theory from a few relaxed molecules: 50 do, 200 are better."""
    from prerelax.set_making.pairs import read_pairs
    from prerelax.training.adapting import adapt as adapt_model
    from prerelax.training.adapting import base_model, summary

    base_model(base, out)
    found = adapt_model(base, read_pairs(pairs), out, max_minutes)
    typer.echo(json.dumps(found) if as_json else summary(out, found))


VERBS: dict[str, Callable[..., None]] = {
    "list": list_models,
    "show": show_model,
    "evaluate": evaluate,
    "calibrate": calibrate_model,
    "import-edm": import_edm_weights,
    "import-morered": import_morered_weights,
    "denoise-starts": denoise_starts,
    "join": join,
}
