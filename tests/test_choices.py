"""The words of command line and config are those that the rooms behind them know."""

from typing import get_args

from prerelax.diffusion.options import Sampler
from prerelax.diffusion.samplers import SAMPLERS
from prerelax.engines.level import EngineChoice
from prerelax.relaxation.settings import CheapLevel, Optimizer


def test_samplers() -> None:
    assert set(get_args(Sampler)) == set(SAMPLERS)


def test_optimizers_and_levels(in_engine_process) -> None:
    optimizers, hessians, engines = in_engine_process(_known)
    assert set(get_args(Optimizer)) == optimizers
    assert set(get_args(CheapLevel)) == hessians | {"auto"}
    assert set(get_args(EngineChoice)) == engines


def _known() -> tuple[set[str], set[str], set[str]]:
    from prerelax.engines import ENGINES
    from prerelax.relaxation.cheap_surface import CHEAP_LEVELS
    from prerelax.relaxation.optimizers import OPTIMIZERS

    return set(OPTIMIZERS), set(CHEAP_LEVELS), set(ENGINES)
