"""The YAML config of a training, as typed parts. Standard library and PyYAML only: it is read on GPU
machines.
"""

from __future__ import annotations

import dataclasses
import os
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from prerelax.errors import UserError, nearest


@dataclass(frozen=True)
class DataConfig:
    """Where the equilibrium structures come from. `$NAME` and `${NAME:-default}` in `path` are expanded."""

    path: str
    format: str = "npz"
    """npz, xyz, sdf, qm9-xyz (folder or .tar.bz2 of dsgdb9nsd_*.xyz), qm7x (npz with energies and forces)"""
    elements: list[int] | None = None
    """keep only molecules of these elements; None: the network's own"""
    exclude: list[str] = field(default_factory=list)
    """npz or text files whose ids (gdb9 numbers) are never trained on"""
    inconsistent: str | None = None
    """the published list of QM9 molecules that failed the consistency check (uncharacterized.txt)"""
    validation: int = 1000
    """molecules set aside, by `split_seed`, from the training set"""
    split: str = "random"
    """random, or a paper's split of the whole QM9: edm (100 000 train) or morered (55 000 train)"""
    split_seed: int = 0
    limit: int | None = None
    """use only so many training molecules"""


@dataclass(frozen=True)
class LossConfig:
    """What is learned. Steps are drawn from `min_step`…`max_step` of the schedule's T, both included."""

    name: str = "noise"
    min_step: int = 0
    max_step: int | None = None
    """None: T"""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OptimizationConfig:
    batch_size: int = 64
    learning_rate: float = 1e-4
    weight_decay: float = 1e-12
    amsgrad: bool = True
    warmup_steps: int = 0
    decay: str = "constant"
    """constant, or cosine: to `final_fraction` of the learning rate when the budget is used up"""
    final_fraction: float = 1e-3
    gradient_clip: str | float = "edm"
    """edm: 1.5 mean + 2 std of recent norms; a number: that norm; 0: none"""
    ema_decay: float = 0.9999
    ema_warmup: bool = True
    """let the average forget faster in the beginning: decay (1 + n) / (10 + n) until it reaches ema_decay"""
    max_epochs: int | None = None
    max_steps: int | None = None
    max_hours: float | None = None
    """The first limit that is reached ends the training. Hours are counted over all resumed runs."""
    seed: int = 0


@dataclass(frozen=True)
class RunConfig:
    """Where a training lives and what it leaves behind."""

    folder: str
    checkpoint_minutes: float = 5.0
    validate_minutes: float = 10.0
    log_every_steps: int = 50
    keep_epochs: list[float] = field(default_factory=list)
    """epochs, or parts of one, whose averaged weights are kept as model folders: `epoch-0004`, `epoch-0.25`
    """
    threads: int | None = None
    """CPU threads; None: torch's choice"""
    device: str = "auto"
    """auto, cpu or cuda"""


@dataclass(frozen=True)
class TrainingConfig:
    network: dict[str, Any]
    """`name` and options of the network"""
    data: DataConfig
    run: RunConfig
    schedule: dict[str, Any] = field(default_factory=dict)
    loss: LossConfig = field(default_factory=LossConfig)
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    sampler: dict[str, Any] = field(default_factory=dict)
    """defaults of the sampler, written into the exported models"""
    weights: str | None = None
    """model, by name or folder, whose weights the training begins with; what else it holds is left out"""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def read_config(path: Path) -> TrainingConfig:
    """Read and check a training config.

    Raises UserError with one sentence that names the file and the key: unknown keys with the nearest known
    one, missing keys, values of the wrong type.
    """
    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}") from error
    try:
        return typing.cast(TrainingConfig, _build(TrainingConfig, raw, ""))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def expand_path(text: str) -> Path:
    """Path with `~`, `$NAME` and `${NAME:-default}` expanded. Raises UserError for a variable that is not
    set.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match["name"] or match["plain"], match["default"]
        found = os.environ.get(name) or default
        if found is None:
            raise UserError(f"{text}: the environment variable {name} is not set")
        return found

    pattern = r"\$(?:\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}|(?P<plain>\w+))"
    return Path(re.sub(pattern, value, text)).expanduser()


def _build(target: type, raw: Any, where: str) -> Any:
    if not isinstance(raw, dict):
        raise ValueError(f"{where or 'the config'} must be a mapping of keys, not {type(raw).__name__}")
    fields = {f.name: f for f in dataclasses.fields(target)}
    for key in raw:
        if key not in fields:
            raise ValueError(f"unknown key {_dotted(where, key)}{nearest(str(key), list(fields))}")
    hints = typing.get_type_hints(target)
    for name, known in fields.items():
        required = known.default is dataclasses.MISSING and known.default_factory is dataclasses.MISSING
        if required and name not in raw:
            raise ValueError(f"the key {_dotted(where, name)} is missing")
    return target(**{key: _convert(hints[key], value, _dotted(where, key)) for key, value in raw.items()})


def _dotted(where: str, key: Any) -> str:
    return f"{where}.{key}" if where else str(key)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, where)
    if isinstance(hint, types.UnionType):
        alternatives = typing.get_args(hint)
        if value is None and type(None) in alternatives:
            return None
        for alternative in (a for a in alternatives if a is not type(None)):
            try:
                return _convert(alternative, value, where)
            except ValueError:
                continue
        raise ValueError(f"{where} must be {_say(hint)}, not {value!r}")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list, not {value!r}")
        return [_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be a mapping, not {value!r}")
        return dict(value)
    return _scalar(hint, value, where)


def _scalar(hint: type, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 1e-4 as a string
        try:
            return float(value)
        except ValueError:
            pass
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, hint) and not (isinstance(value, bool) and hint is not bool):
        return value
    raise ValueError(f"{where} must be {_say(hint)}, not {value!r}")


def _say(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint)
