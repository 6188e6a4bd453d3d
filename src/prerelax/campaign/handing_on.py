"""What the rules hand on to the verbs: parts of the campaign as the JSON that `--settings` takes.

A model that the campaign trains itself is named by its folder there.
"""

from pathlib import Path

from pydantic import BaseModel

from prerelax.campaign.baseline import NO_BASELINE
from prerelax.campaign.config import Campaign
from prerelax.campaign.layout import Layout
from prerelax.campaign.learning import teaches_guide
from prerelax.campaign.section import EMBEDDING, handed_on
from prerelax.campaign.starts import (
    DiffusedStart,
    DiffuseStart,
    ForcefieldStart,
    RelaxStart,
    SampleStart,
    Start,
)
from prerelax.campaign.targets import Target
from prerelax.denoisers.choosing import AUTO
from prerelax.engines import engine_named, is_cheap
from prerelax.engines.level import Level
from prerelax.relaxation.settings import Relaxation, SinglePoints
from prerelax.set_making.options import DisplacementOptions
from prerelax.starts.options import (
    DiffusedOptions,
    DiffuseOptions,
    EmbedOptions,
    ForcefieldOptions,
    SearchPlan,
)

OPTIONS: dict[type[BaseModel], type[BaseModel]] = {
    ForcefieldStart: ForcefieldOptions,
    RelaxStart: Relaxation,
    SampleStart: SearchPlan,
    DiffuseStart: DiffuseOptions,
    DiffusedStart: DiffusedOptions,
}
"""What the verbs that make starts take; embedding again takes EmbedOptions."""


def embedding(campaign: Campaign) -> str:
    """For `prerelax embed`, which is given the isomers where they are enumerated."""
    changes: dict[str, object] = {"conformers": campaign.conformers_of(EMBEDDING)}
    changes |= {"stereo": "one"} if campaign.stereo == "enumerate" else {}
    return handed_on(campaign.model_copy(update=changes), EmbedOptions)


def making_start(campaign: Campaign, layout: Layout, name: str) -> str:
    """For the verb that makes a start."""
    start = _with_own_models(campaign, layout, campaign.starts[name])
    if isinstance(start, DiffuseStart) and start.adapt is not None:
        return denoising_with(campaign, layout, name, name)
    if isinstance(start, DiffuseStart) and start.model == AUTO and start.level is None:
        start = start.model_copy(update={"level": _level_wanted(campaign, start)})
    return handed_on(start, OPTIONS.get(type(start), EmbedOptions))


def denoising_with(campaign: Campaign, layout: Layout, name: str, learned: str) -> str:
    """For `prerelax diffuse` as a start asks for it, with a model that was adapted for it."""
    start = _with_own_models(campaign, layout, campaign.starts[name])
    return handed_on(start.model_copy(update={"model": layout.adapted(learned)}), DiffuseOptions)


def base_of(campaign: Campaign, layout: Layout, name: str) -> str:
    """The model that is adapted for a start."""
    start = campaign.starts[name]
    assert isinstance(start, DiffuseStart)
    return layout.model(start.model) if start.model in campaign.denoisers else start.model


def _level_wanted(campaign: Campaign, start: DiffuseStart) -> str | None:
    """The level, without its engine, whose minima a start is made for."""
    dear = [name for name, at in campaign.targets.items() if not is_cheap(at)]
    target = start.for_ or next(iter(dear or campaign.targets), None)
    return None if target is None else str(campaign.targets[target].level).rpartition(" (")[0]


def relaxing(campaign: Campaign, layout: Layout, part: Relaxation) -> str:
    """For `prerelax relax` at a target, for a start or for a set."""
    return handed_on(_with_own_models(campaign, layout, part), Relaxation)


def relaxing_from(campaign: Campaign, layout: Layout, target: str, start: str) -> str:
    """For `prerelax relax` at a target from a start, which may have learned the level."""
    part = campaign.targets[target]
    if teaches_guide(campaign, start, target):
        part = part.model_copy(update={"learned": Path(layout.guide(start))})
    return relaxing(campaign, layout, part)


def evaluating_minima(campaign: Campaign, points: str) -> str:
    """For `prerelax relax` at a level where nothing is moved."""
    return handed_on(campaign.single_points[points].relaxation, Relaxation)


def evaluating(target: Target) -> str:
    """For `prerelax energies` at a target's level, of the molecules that it treats."""
    return handed_on(target, SinglePoints)


def at_level(target: Target) -> str:
    """For verbs that evaluate whatever molecules they are given at a target's level."""
    return handed_on(target, Level)


def compared_with(campaign: Campaign) -> str:
    """The baseline for `prerelax compare`."""
    return NO_BASELINE if campaign.compare == "none" else str(campaign.baseline)


def displacing(campaign: Campaign, name: str, displacements: int | None = None) -> str:
    """For `prerelax data displace`, as a set is made; `displacements` of each minimum if not as many."""
    return handed_on(campaign.sets[name].displacing(displacements), DisplacementOptions)


def is_known_before(campaign: Campaign, part: Start | Relaxation) -> bool:
    """Whether a part's models lie there before the campaign runs."""
    adapts = isinstance(part, DiffuseStart) and part.adapt is not None
    return not adapts and not own_models(campaign, part)


def own_models(campaign: Campaign, part: Start | Relaxation) -> list[str]:
    """The denoisers of the campaign's own that a part of it uses."""
    if isinstance(part, DiffuseStart):
        return [name for name in (part.model, part.time_model) if name in campaign.denoisers and name]
    if isinstance(part, Relaxation) and engine_named(part.engine).method_is_model:
        return [part.method] if part.method in campaign.denoisers else []
    return []


def _with_own_models(campaign: Campaign, layout: Layout, part: Start | Relaxation) -> Start | Relaxation:
    """The same, models of the campaign's own named by their folders.

    With an epoch that is the folder of the training, in which the verb looks for what was kept then.
    """
    own = own_models(campaign, part)
    folders: dict[str, str] = {}
    if isinstance(part, DiffuseStart):
        if part.model in own:
            in_training = part.epoch is not None
            folders["model"] = layout.training(part.model) if in_training else layout.model(part.model)
        if part.time_model is not None and part.time_model in own:
            folders["time_model"] = layout.model(part.time_model)
    elif isinstance(part, Relaxation) and own:
        folders["method"] = layout.model(part.method)
    return part.model_copy(update=folders)
