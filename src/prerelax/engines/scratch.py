"""Scratch folders of programs: named after their owner, removed with it, kept for a look where it failed."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

KEPT_FOLDERS = 20
"""Failed molecules' folders that are kept, the last ones; without files larger than that."""
KEPT_FILE_BYTES = 5_000_000


def scratch_folder(program: str, parent: Path | None = None) -> Path:
    """A new folder that names its owner; folders of owners that were killed are removed here."""
    parent = parent or Path(tempfile.gettempdir())
    ours = f"prerelax-{program}-{socket.gethostname()}-"
    for folder in parent.glob(f"{ours}*"):
        owner = folder.name.removeprefix(ours).partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{ours}{os.getpid()}-", dir=parent))


def keep(folder: Path) -> Path:
    """Move a failed molecule's folder to where the last of them are kept; the new place.

    Large files, the scratch of integrals and orbitals, are removed from it.
    """
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size > KEPT_FILE_BYTES:
            path.unlink()
    kept = folder.parent / f"prerelax-failed-{os.getuid()}"
    kept.mkdir(mode=0o700, exist_ok=True)
    others = sorted(kept.iterdir(), key=lambda each: each.stat().st_mtime)
    for old in others[: max(0, len(others) - KEPT_FOLDERS + 1)]:
        shutil.rmtree(old, ignore_errors=True)
    place = kept / folder.name.removeprefix("prerelax-")
    shutil.rmtree(place, ignore_errors=True)
    folder.rename(place)
    return place


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
