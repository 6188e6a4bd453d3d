"""Import of EDM checkpoints in the original format: a torch state dict (`.npy`) and pickled arguments.

The arguments are an argparse.Namespace; they are read by an unpickler that knows nothing else, so that a
crafted file cannot run anything. Sizes come from the arrays, and without the arguments everything else from
the papers' QM9 settings.
"""

from __future__ import annotations

import argparse
import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import torch
from torch import Tensor

from prerelax.denoisers.checkpoint import ModelError, save_model
from prerelax.networks import build_network

QM9_ELEMENTS = [1, 6, 7, 8, 9]
GEOM_ELEMENTS = [1, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 33, 35, 53, 80, 83]
"""Order of the one-hot types in the published code's dataset configs."""
PREFIX = "dynamics.egnn."


class Arguments(TypedDict, total=False):
    """What is used of the arguments of an EDM training."""

    diffusion_noise_precision: float
    sin_embedding: bool
    conditioning: list[str]
    normalize_factors: list[float]
    include_charges: bool
    tanh: bool
    norm_constant: float
    aggregation_method: str
    normalization_factor: float


def import_edm(weights: Path, arguments: Path | None, out: Path) -> None:
    """Convert an EDM checkpoint into the model folder `out`.

    `weights` is `generative_model*.npy` as the original saves it, or an npz of the same arrays; `arguments`
    its `args.pickle`, or None. The schedule's table is taken over from the weights. Raises ModelError for
    files that are not such a checkpoint and for variants that paper E does not use (conditioning, sinusoidal
    embedding, a learned schedule, scaled positions).
    """
    state = read_state(weights)
    given = read_arguments(arguments) if arguments is not None else Arguments()
    config = network_config(state, given, weights)
    network = build_network(config)
    try:
        network.load_state_dict(rename(state))
    except RuntimeError as error:
        raise ModelError(f"{weights} does not have the parameters of an EDM: {error}") from error
    gamma = state["gamma.gamma"]
    schedule = {"kind": "polynomial", "timesteps": len(gamma) - 1}
    if "diffusion_noise_precision" in given:
        schedule["precision"] = float(given["diffusion_noise_precision"])
    sampler = {"name": "edm", "steps": min(50, len(gamma) - 1)}
    origin = {"imported_from": weights.name, "arguments": {k: v for k, v in given.items() if _is_plain(v)}}
    model = {"network": config, "schedule": schedule, "sampler": sampler, "training": origin}
    card = f"# {out.name}\n\nEDM checkpoint imported from `{weights.name}` (original format).\n"
    save_model(out, network, model, card, gamma)


def read_state(path: Path) -> dict[str, Tensor]:
    """State dict of a torch file (read with weights_only) or an npz. Raises ModelError for anything else."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                state = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        else:
            state = dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged or crafted file can make the readers raise anything
        raise ModelError(f"{path} is not a state dict of tensors: {error}") from error
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise ModelError(f"{path} is not a state dict of tensors")
    return {name.removeprefix("module."): value for name, value in state.items()}


class _ArgumentsUnpickler(pickle.Unpickler):
    """Finds argparse.Namespace and nothing else; that class only stores attributes."""

    def find_class(self, module: str, name: str) -> type[argparse.Namespace]:
        if (module, name) == ("argparse", "Namespace"):
            return argparse.Namespace
        raise pickle.UnpicklingError(f"it names {module}.{name}, which arguments never contain")


def read_arguments(path: Path) -> Arguments:
    """The pickled argparse.Namespace of an EDM training, without executing anything it names.

    Raises ModelError for any other pickle.
    """
    try:
        arguments = _ArgumentsUnpickler(io.BytesIO(path.read_bytes())).load()
    except Exception as error:  # a crafted pickle can make the unpickler raise anything
        raise ModelError(f"{path} is not the pickled arguments of an EDM training: {error}") from error
    if type(arguments) is not argparse.Namespace:
        raise ModelError(f"{path} is not the pickled arguments of an EDM training")
    return cast(Arguments, vars(arguments))


def network_config(state: Mapping[str, Tensor], arguments: Arguments, source: Path) -> dict[str, object]:
    """The EGNN options of an original checkpoint: sizes from its arrays, the rest from its arguments."""
    embedding = state.get(f"{PREFIX}embedding.weight")
    if embedding is None or "gamma.gamma" not in state:
        raise ModelError(
            f"{source} is not an EDM with a fixed schedule: {PREFIX}embedding or gamma is missing"
        )
    if arguments.get("sin_embedding"):
        raise ModelError(f"{source}: sinusoidal distance embeddings are not supported")
    if arguments.get("conditioning"):
        raise ModelError(f"{source}: models conditioned on properties are not supported")
    scales = arguments.get("normalize_factors") or [1, 4, 10]
    if float(scales[0]) != 1.0:
        raise ModelError(f"{source}: positions scaled by {scales[0]} are not supported")
    width = embedding.shape[1] - 1  # the last input is the time
    elements, charges = _elements(width, arguments, source)
    return {
        "name": "egnn",
        "elements": elements,
        "n_layers": _count(state, r"e_block_(\d+)\."),
        "n_features": embedding.shape[0],
        "types": "diffused",
        "charges": charges,
        "one_hot_scale": float(scales[1]),
        "charge_scale": float(scales[2]),
        "attention": any(".att_mlp." in name for name in state),
        "tanh": bool(arguments.get("tanh", True)),
        "norm_constant": float(arguments.get("norm_constant", 1.0)),
        "inv_sublayers": _count(state, r"e_block_0\.gcl_(\d+)\."),
        "aggregation": str(arguments.get("aggregation_method", "sum")),
        "normalization_factor": float(arguments.get("normalization_factor", 1.0)),
    }


def _elements(width: int, arguments: Arguments, source: Path) -> tuple[list[int], bool]:
    for elements in (QM9_ELEMENTS, GEOM_ELEMENTS):
        for charges in (True, False):
            matches = width == len(elements) + charges
            if matches and bool(arguments.get("include_charges", charges)) == charges:
                return elements, charges
    raise ModelError(f"{source}: {width} atom features fit neither the elements of QM9 nor those of GEOM")


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    found = [re.match(re.escape(PREFIX) + pattern, name) for name in state]
    return 1 + max(int(match[1]) for match in found if match)


RENAMES = (
    (r"e_block_(\d+)\.gcl_equiv\.coord_mlp\.4", r"blocks.\1.move.weight"),
    (r"e_block_(\d+)\.gcl_equiv\.", r"blocks.\1.move."),
    (r"e_block_(\d+)\.gcl_(\d+)\.", r"blocks.\1.messages.\2."),
    (r"(edge|coord)_mlp\.0", "pair"),
    (r"(edge|coord)_mlp\.2", "pair_out"),
    (r"node_mlp", "atom"),
    (r"att_mlp\.0", "attention"),
)


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The original's parameters under our names; first layers of pair networks split by what they act on."""
    renamed: dict[str, Tensor] = {}
    for original, value in state.items():
        if not original.startswith(PREFIX):
            continue  # the schedule and a device buffer
        name = original.removeprefix(PREFIX)
        for pattern, replacement in RENAMES:
            name = re.sub(pattern, replacement, name)
        if name.endswith(".pair.weight"):
            n_features = value.shape[0]
            parts = torch.split(value, [n_features, n_features, value.shape[1] - 2 * n_features], dim=1)
            for part, part_value in zip(("receiver", "sender", "pair"), parts, strict=True):
                renamed[f"{name.removesuffix('weight')}{part}"] = part_value.contiguous()
        else:
            renamed[name] = value
    return renamed


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | float | bool)
