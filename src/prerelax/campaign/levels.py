"""Levels and relaxations as a campaign's config has them: words that the engines do not know are refused."""

from typing import Annotated, get_args

from pydantic import AfterValidator

from prerelax.engines.level import Level
from prerelax.errors import nearest
from prerelax.relaxation.settings import Optimizer, Relaxation


def known(level: Level) -> Level:
    """The level itself. Raises ValueError where a word of it does not exist or fit the others.

    A method that is a model is looked for by the whole campaign, which may have yet to train it.
    """
    from prerelax.engines import engine_named, validate_level

    if not engine_named(level.engine).method_is_model:
        validate_level(level)
    return level


KnownLevel = Annotated[Level, AfterValidator(known)]


def known_relaxation(relaxation: Relaxation) -> None:
    """Raise ValueError where a word of a relaxation does not exist or fit the others."""
    known(relaxation.level)
    optimizers = get_args(Optimizer)
    if relaxation.optimizer is not None and relaxation.optimizer not in optimizers:
        raise ValueError(
            f"unknown optimizer '{relaxation.optimizer}'{nearest(relaxation.optimizer, optimizers)}"
        )
    if relaxation.cheap_level != "auto":  # looked at only where it is named: this imports ASE's optimizers
        _ = relaxation.chosen_cheap_level
