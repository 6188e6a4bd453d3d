"""Model folders: weights.safetensors, config.yaml and card.md, and SHA256SUMS of the first two.

`config.yaml` holds `network` (name and options), `schedule`, `sampler` (defaults) and `training` (a record).
Nothing in a model folder is executed: weights are tensors, the config is plain YAML.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from prerelax.denoisers.denoiser import Denoiser, as_denoiser
from prerelax.denoisers.model_config import (
    ModelConfig,
    SamplerDefaults,
    TrainedLoss,
    TrainedWith,
    TrainingRecord,
)
from prerelax.denoisers.model_folders import (
    CARD,
    CONFIG,
    SUMS,
    WEIGHTS,
    ModelError,
    check_sums,
    find_model,
    list_models,
    model_name,
    read_model_config,
    sums_of,
)
from prerelax.denoisers.morered_schedule import MoreRedSchedule
from prerelax.denoisers.schedule import NoiseSchedule
from prerelax.errors import UserError, nearest
from prerelax.networks import build_network
from prerelax.networks.network import Network

__all__ = [
    "CARD",
    "CONFIG",
    "WEIGHTS",
    "LoadedModel",
    "ModelError",
    "find_model",
    "list_models",
    "load_model",
    "make_schedule",
    "read_model_config",
    "save_model",
]

GAMMA_KEY = "schedule.gamma"
"""Tensor name under which an imported checkpoint keeps its own schedule table."""


Schedule = NoiseSchedule | MoreRedSchedule
"""EDM's or MoreRed's"""


@dataclass(frozen=True)
class LoadedModel:
    """A network ready for sampling, with the schedule it was trained on."""

    name: str
    network: Network
    schedule: Schedule
    elements: tuple[int, ...]
    """atomic numbers the network knows"""
    config: ModelConfig = field(default_factory=ModelConfig)
    folder: Path | None = None

    @property
    def denoiser(self) -> Denoiser:
        """The network, known to predict noise. Raises UserError for one that does not."""
        return as_denoiser(self.network, self.name)

    @property
    def edm_schedule(self) -> NoiseSchedule:
        """The schedule, known to be EDM's. Raises UserError for MoreRed's."""
        if not isinstance(self.schedule, NoiseSchedule):
            raise UserError(f"{self.name} is a MoreRed model, not an EDM")
        return self.schedule

    @property
    def morered_schedule(self) -> MoreRedSchedule:
        """The schedule, known to be MoreRed's. Raises UserError for EDM's."""
        if not isinstance(self.schedule, MoreRedSchedule):
            raise UserError(f"{self.name} is not a MoreRed model: its schedule is EDM's")
        return self.schedule

    @property
    def sampler_defaults(self) -> SamplerDefaults:
        """Defaults of the model's sampler; empty if the config has none."""
        return self.config.get("sampler") or SamplerDefaults()

    @property
    def last_trained_step(self) -> int | None:
        """Last step of the schedule that was trained; None if all were, or if there is no record."""
        training = self.config.get("training") or TrainingRecord()
        loss = (training.get("config") or TrainedWith()).get("loss") or TrainedLoss()
        return loss.get("max_step")

    def to(self, device: torch.device | str) -> LoadedModel:
        """The same model with its network moved to `device`."""
        self.network.to(device)
        return self


def load_model(name_or_path: str | Path, device: torch.device | str = "cpu") -> LoadedModel:
    """Load a shipped model by name or a model folder by path, in evaluation mode.

    Raises ModelError where there is none, or where config and weights do not fit together.
    """
    folder = find_model(name_or_path)
    check_sums(folder)
    config = read_model_config(folder)
    weights = _read_weights(folder / WEIGHTS)
    try:
        gamma = weights.pop(GAMMA_KEY, None)
        schedule = NoiseSchedule(gamma) if gamma is not None else make_schedule(config.get("schedule") or {})
        network = build_network(config["network"])
    except (ArithmeticError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / CONFIG} describes no model: {_in_words(error)}") from error
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(
            f"{folder / WEIGHTS} does not fit the network of {CONFIG}: {_in_words(error)}"
        ) from error
    network.to(device).eval().requires_grad_(False)
    return LoadedModel(model_name(folder), network, schedule, network.elements, config, folder)


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, all of them finite. Raises ModelError for a missing or damaged file."""
    try:
        weights: dict[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; a model folder holds {WEIGHTS} and {CONFIG}") from None
    except (SafetensorError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: not a whole safetensors file ({_in_words(error)})") from None
    _check_finite(path, weights)
    return weights


def _check_finite(path: Path, weights: Mapping[str, Tensor]) -> None:
    if broken := [name for name, value in weights.items() if not torch.isfinite(value.float()).all()]:
        raise ModelError(f"{path}: weights that are not finite numbers ({broken[0]})")


def _in_words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def make_schedule(config: Mapping[str, object]) -> Schedule:
    """The schedule of a config's `schedule` part: `kind` (EDM's `polynomial` or `morered`), `timesteps`, ...

    Raises UserError for unknown keys or values out of range.
    """
    options = dict(config)
    kind = str(options.pop("kind", "polynomial"))
    if kind not in SCHEDULES:
        raise UserError(f"unknown schedule {kind!r}{nearest(kind, SCHEDULES)}")
    try:
        return SCHEDULES[kind](**options)
    except (TypeError, ValueError) as error:
        raise UserError(f"schedule {kind}: {error}") from error


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "polynomial": NoiseSchedule.polynomial,
    "morered": MoreRedSchedule.polynomial,
}


def save_model(
    folder: Path,
    network: nn.Module | Mapping[str, Tensor],
    config: Mapping[str, object],
    card: str | None = None,
    gamma: Tensor | None = None,
) -> None:
    """Write a model folder; each file appears whole or not at all.

    `network` may be a state dict. `gamma` [T + 1] is stored where the schedule is not made from the config.
    An existing card is kept when `card` is None. Raises ModelError, before anything is written, for weights
    that are not finite numbers: nobody could read them.
    """
    state = network.state_dict() if isinstance(network, nn.Module) else dict(network)
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    if gamma is not None:
        tensors[GAMMA_KEY] = gamma.detach().cpu().contiguous()
    _check_finite(folder / WEIGHTS, tensors)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMS).unlink(missing_ok=True)  # whoever reads the folder meanwhile finds none that is wrong
    _write(folder / WEIGHTS, save(tensors))
    _write(folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=False).encode())
    if card is not None:
        _write(folder / CARD, card.encode())
    _write(folder / SUMS, sums_of(folder).encode())


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
