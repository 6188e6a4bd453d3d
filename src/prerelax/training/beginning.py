"""What a network begins with: the weights of another model."""

from __future__ import annotations

import yaml
from safetensors.torch import load_file
from torch import Tensor

from prerelax.denoisers.model_folders import CONFIG, WEIGHTS, find_model
from prerelax.errors import UserError
from prerelax.networks.network import Network
from prerelax.networks.staged import StagedNetwork
from prerelax.settings import expand_path
from prerelax.training.new_elements import begin_as_mean


def begin_with(network: Network, model: str) -> None:
    """Give a network the weights of a model that has all its tensors, and maybe others; see `begin_as_mean`.

    Where a staged network has more stages than the model, the others begin as the model's last one. Raises
    UserError for a model that is not in stages, lacks a tensor, or has it in another size.
    """
    folder = find_model(str(expand_path(model)))
    weights = load_file(folder / WEIGHTS)
    if isinstance(network, StagedNetwork):
        if not any(name.startswith("stages.") for name in weights):
            raise UserError(
                f"weights: {model} is not in stages; `prerelax models join` makes a model that is"
            )
        weights = with_stages(weights, len(network.stages))
    unfit = [n for n, t in network.state_dict().items() if n not in weights or weights[n].shape != t.shape]
    if unfit:
        raise UserError(f"weights: {model} has no {unfit[0]} of the size that this network needs")
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
    said = yaml.safe_load((folder / CONFIG).read_text())["network"]
    known = said.get("stage", said).get("elements", [])
    begin_as_mean(network, sorted(set(network.elements) - set(known)), sorted(known))


def with_stages(weights: dict[str, Tensor], n_stages: int) -> dict[str, Tensor]:
    """Weights of a staged network of at least `n_stages`: what lacks is a copy of the last stage."""
    known = {int(name.split(".")[1]) for name in weights if name.startswith("stages.")}
    last = f"stages.{max(known, default=0)}."
    of_last = {name.removeprefix(last): tensor for name, tensor in weights.items() if name.startswith(last)}
    for stage in range(len(known), n_stages):
        weights = weights | {f"stages.{stage}.{name}": tensor for name, tensor in of_last.items()}
    return weights
