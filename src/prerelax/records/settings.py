"""What a row's numbers rest on, as the JSON of its `settings`: options, versions, a model's digest."""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LEVEL = ("engine", "method", "basis", "dispersion", "solvent", "solvent_model", "calculator", "options")
"""The settings that are the level: energies are compared where these are equal, and only there."""


def settings_text(settings: dict[str, Any], *packages: str) -> str:
    """`settings` as JSON with the versions of prerelax and of `packages`, which are not imported for it."""
    versions = {name: importlib.metadata.version(name) for name in ("prerelax", *packages)}
    return json.dumps(settings | {"versions": settings.get("versions", {}) | versions}, sort_keys=True)


def is_digest(name: str) -> bool:
    """Whether a setting is the digest of files that the numbers follow from: two of them never mix."""
    return name.endswith("sha256")


def level_name(settings: Mapping[str, Any]) -> str:
    """The level in `settings`, such as `PBE0-D4/def2-SVP in water by smd (pyscf)`."""
    engine, method, basis, dispersion, solvent, model, calculator = (
        settings.get(name) for name in LEVEL[:-1]
    )
    name = f"{method}-{dispersion.upper()}" if dispersion else f"{method}"
    name += f"/{basis}" if basis else ""
    name += f" in {solvent}" if solvent else ""
    name += f" by {model}" if solvent and model else ""
    return f"{name} ({calculator or engine})"


def sha256_of_files(*paths: Path) -> str:
    """One digest of the contents of files, in this order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
