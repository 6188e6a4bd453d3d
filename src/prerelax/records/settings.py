"""What a row's numbers rest on, as the JSON of its `settings`: options, versions, a model's digest."""

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any


def settings_text(settings: dict[str, Any], *packages: str) -> str:
    """`settings` as JSON with the versions of prerelax and of `packages`, which are not imported for it."""
    versions = {name: importlib.metadata.version(name) for name in ("prerelax", *packages)}
    return json.dumps(settings | {"versions": settings.get("versions", {}) | versions}, sort_keys=True)


def sha256_of_files(*paths: Path) -> str:
    """One digest of the contents of files, in this order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
