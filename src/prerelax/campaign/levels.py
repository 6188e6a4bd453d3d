"""Levels and relaxations as a campaign's config has them: words that the engines do not know are refused."""

from typing import Annotated, Self, get_args

from pydantic import AfterValidator, model_validator

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


class KnownRelaxation(Relaxation):
    """A relaxation of a campaign."""

    @model_validator(mode="after")
    def _words_exist_and_fit(self) -> Self:
        known(self.level)
        optimizers = get_args(Optimizer)
        if self.optimizer is not None and self.optimizer not in optimizers:
            raise ValueError(f"unknown optimizer '{self.optimizer}'{nearest(self.optimizer, optimizers)}")
        if isinstance(self.cheap_level, Level):
            known(self.cheap_level)
        if self.cheap_level != "auto":  # looked at only where it is named: this imports ASE's optimizers
            _ = self.chosen_cheap_level
        return self
