"""The networks a config can name, imported only when one is built."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prerelax.errors import UserError, nearest

if TYPE_CHECKING:
    from torch import nn

NETWORKS = {
    "egnn": "prerelax.networks.egnn:EGNN",
    "force-field": "prerelax.networks.energy:EnergyNetwork",
    "morered-joint": "prerelax.networks.morered:JointNetwork",
    "morered-noise": "prerelax.networks.morered:NoiseNetwork",
    "morered-time": "prerelax.networks.morered:TimeNetwork",
    "staged": "prerelax.networks.staged:StagedNetwork",
}
"""Name in a config: module and class. The class takes the config's other keys as keyword arguments."""


def build_network(config: Mapping[str, Any]) -> nn.Module:
    """The network of a config like `{"name": "egnn", "n_layers": 4, ...}`, with fresh weights.

    Raises UserError for a missing or unknown name or option, with the nearest known one.
    """
    options = dict(config)
    name = options.pop("name", None)
    if name not in NETWORKS:
        raise UserError(f"unknown network {name!r}{nearest(str(name), NETWORKS)}")
    module, class_name = NETWORKS[name].split(":")
    network_class = getattr(importlib.import_module(module), class_name)
    known = [p for p in inspect.signature(network_class.__init__).parameters if p != "self"]
    for key in options:
        if key not in known:
            raise UserError(f"network {name} has no option {key!r}{nearest(key, known)}")
    network: nn.Module = network_class(**options)
    return network
