"""The networks that a config can name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from prerelax.errors import UserError, nearest
from prerelax.networks.egnn import EGNN, EGNNOptions
from prerelax.networks.energy import EnergyNetwork, EnergyNetworkOptions
from prerelax.networks.morered import JointNetwork, MoreRedOptions, NoiseNetwork, TimeNetwork
from prerelax.networks.network import Network
from prerelax.networks.staged import StagedNetwork


def build_network(config: Mapping[str, object]) -> Network:
    """The network of a config like `{"name": "egnn", "n_layers": 4, ...}`, with fresh weights.

    Raises UserError for a missing or unknown name or option, with the nearest known one, and ValueError for
    an option that is out of range.
    """
    options = dict(config)
    name = str(options.pop("name", None))
    if name not in NETWORKS:
        raise UserError(f"unknown network {name!r}{nearest(name, NETWORKS)}")
    known = list(inspect.signature(NETWORKS[name].options).parameters)
    for key in options:
        if key not in known:
            raise UserError(f"network {name} has no option {key!r}{nearest(key, known)}")
    return NETWORKS[name].build(options)


@dataclass(frozen=True)
class StageOptions:
    """Options of a `StagedNetwork`: the config of every stage, and the step at which each is called."""

    stage: Mapping[str, object]
    steps: Sequence[int]


def _staged(options: StageOptions) -> StagedNetwork:
    return StagedNetwork([build_network(options.stage) for _ in options.steps], options.steps)


Options = TypeVar("Options")


@dataclass(frozen=True)
class Kind(Generic[Options]):
    """How a network is made from a config's keys."""

    make: Callable[[Options], Network]
    options: Callable[..., Options]

    def build(self, keys: Mapping[str, object]) -> Network:
        """A network with these options, given as a config gives them."""
        return self.make(self.options(**keys))


AnyKind = Kind[EGNNOptions] | Kind[EnergyNetworkOptions] | Kind[MoreRedOptions] | Kind[StageOptions]

NETWORKS: dict[str, AnyKind] = {
    "egnn": Kind(EGNN, EGNNOptions),
    "force-field": Kind(EnergyNetwork, EnergyNetworkOptions),
    "morered-joint": Kind(JointNetwork, MoreRedOptions),
    "morered-noise": Kind(NoiseNetwork, MoreRedOptions),
    "morered-time": Kind(TimeNetwork, MoreRedOptions),
    "staged": Kind(_staged, StageOptions),
}
