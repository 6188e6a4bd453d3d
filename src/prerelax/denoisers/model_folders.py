"""Where models lie and what their folders hold, for whoever has no need of torch."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, cast

from prerelax.denoisers.model_config import ModelConfig
from prerelax.errors import UserError, nearest
from prerelax.reading import read_yaml_file
from prerelax.records.settings import sha256_of_files
from prerelax.shipped import shipped

WEIGHTS, CONFIG, CARD, SUMS = "weights.safetensors", "config.yaml", "card.md", "SHA256SUMS"


class ModelError(UserError):
    """There is no such model, or it is not whole."""


def models_folder() -> Path:
    """$PRERELAX_MODELS, else the shipped models."""
    given = os.environ.get("PRERELAX_MODELS")
    return Path(given) if given else shipped("models")


def list_models() -> list[str]:
    """Names of the shipped models, sorted."""
    folder = models_folder()
    return sorted(p.parent.name for p in folder.glob(f"*/{CONFIG}")) if folder.is_dir() else []


def find_model(name_or_path: str | Path) -> Path:
    """Folder of a model given by path or by shipped name. Raises ModelError that names what there is."""
    given = Path(name_or_path)
    if (given / CONFIG).is_file():
        return given
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]*", str(name_or_path)):
        shipped = models_folder() / str(name_or_path)
        if (shipped / CONFIG).is_file():
            return shipped
        near = nearest(str(name_or_path), list_models())
        raise ModelError(f"no model named {str(name_or_path)!r} in {models_folder()}{near}")
    raise ModelError(f"no model in {given}: a model folder holds {WEIGHTS} and {CONFIG}")


def read_model_config(folder: Path) -> ModelConfig:
    """`config.yaml` of a model folder. Raises ModelError where it is no YAML or names no network."""
    path = folder / CONFIG
    try:
        config = read_yaml_file(path)
    except UserError as error:
        raise ModelError(str(error)) from None
    if not isinstance(config, dict) or not isinstance(config.get("network"), dict):
        raise ModelError(f"{path} has no `network`")
    if not isinstance(config["network"].get("stage") or {}, dict):
        raise ModelError(f"{path}: network.stage must be a mapping of keys")
    for part in ("schedule", "sampler", "confidence", "knows", "training"):
        if not isinstance(config.get(part) or {}, dict):
            raise ModelError(f"{path}: {part} must be a mapping of keys")
    return cast(ModelConfig, config)


def timesteps(name_or_path: str | Path) -> int | None:
    """How many steps a model's schedule has; None where there is no such model, or it does not say."""
    try:
        schedule: Any = read_model_config(find_model(name_or_path))["schedule"]
        return int(schedule["timesteps"])
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def not_adaptable(name: str, config: ModelConfig) -> str:
    """Why a model of this config cannot be taught another level; empty where it can: it is a relaxer then."""
    network: Any = config["network"]
    stage = network.get("stage") or network
    kind = (config.get("schedule") or {}).get("kind", "polynomial")
    if kind != "polynomial" or stage.get("name") != "morered-noise":
        return (
            f"{name} cannot be adapted: a base is a relaxer, e.g. relaxer-organic (`prerelax models list`), "
            "not a denoiser trained on minima alone"
        )
    if not stage.get("bond_graph"):
        return f"{name} cannot be adapted: its network does not read the bond graph"
    return ""


def sums_of(folder: Path) -> str:
    """Digests of a model's weights and config, as `sha256sum` writes and checks them."""
    return "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in (CONFIG, WEIGHTS)
    )


def check_sums(folder: Path) -> None:
    """Raise ModelError where a model's files are not those that were saved; folders without sums pass."""
    try:
        noted = (folder / SUMS).read_text(errors="replace").splitlines()
        found = sums_of(folder).splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read ({error.strerror})") from None
    for line in found:
        if line not in noted:
            name = line.split()[1]
            raise ModelError(
                f"{folder / name}: not as it was saved; restore the model from a copy, or, if it was changed "
                f"on purpose, delete {SUMS} beside it"
            )


def check_readable(folder: Path) -> None:
    """Raise ModelError where a model's weights are not there, not as they were saved, or cut off."""
    from safetensors import SafetensorError, safe_open

    check_sums(folder)
    try:
        with safe_open(folder / WEIGHTS, framework="np"):
            return
    except (OSError, SafetensorError) as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise ModelError(f"{folder / WEIGHTS} {why}; restore the model from a copy") from None


def model_digests(model: str | Path, time_model: str | None = None) -> dict[str, str]:
    """SHA-256 of the weights and config that a denoiser's geometries follow from, as rows keep them.

    `model_sha256` of the model itself; where there are such, `time_model_sha256` of the network that predicts
    times and `reference_model_sha256` of the one whose residual judges. Raises ModelError.
    """
    folder = find_model(model)
    config: Any = read_yaml_file(folder / CONFIG)
    part = config.get("confidence") if isinstance(config, dict) else None
    beside = folder / "time"
    found = {
        "model": folder,
        "time_model": time_model or (beside if (beside / CONFIG).is_file() else None),
        "reference_model": part.get("judge") if isinstance(part, dict) else None,
    }
    return {f"{name}_sha256": _digest(find_model(each)) for name, each in found.items() if each}


def _digest(folder: Path) -> str:
    try:
        return sha256_of_files(folder / WEIGHTS, folder / CONFIG)
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read ({error.strerror})") from None


def model_name(folder: Path) -> str:
    """What a model is called: its folder, or for the newest model of a training that training's folder."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == "model" else folder.name


def kept_epoch(run: str | Path, epoch: float) -> Path:
    """Model folder that a training in the folder `run` kept at an epoch.

    Raises ModelError that says which epochs it kept.
    """
    folder = Path(run) / epoch_folder(epoch)
    if (folder / CONFIG).is_file():
        return folder
    kept = [path.parent.name.removeprefix("epoch-") for path in Path(run).glob(f"epoch-*/{CONFIG}")]
    names = ", ".join(f"{e:g}" for e in sorted(map(float, kept))) or "none"
    raise ModelError(f"the training in {run} kept no epoch {epoch:g}; it kept {names} (run.keep_epochs)")


def epoch_folder(epoch: float) -> str:
    """Name of the model folder of an epoch beside the others of its training: epoch-0004, epoch-0.25."""
    return f"epoch-{epoch:04g}"
