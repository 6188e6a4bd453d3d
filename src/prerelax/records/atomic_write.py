"""Files that are whole or absent: written under a temporary name on the same filesystem, then moved."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from prerelax.errors import UserError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary name on the same filesystem, then move the file to `path`.

    Errors of the filesystem name `path`, whichever call they came from: OSError with its number.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        try:
            write(part)
            part.chmod(0o666 & ~_umask())
            part.replace(path)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_text_atomically(path: Path, text: str) -> None:
    """Make `path` hold `text`, its folder made where needed; a file that holds it already is left alone."""
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda part: part.write_text(text))


def make_writable_folder(folder: Path) -> None:
    """Make a folder, before work whose end is to be written there. Raises UserError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}; name another folder") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: you may not write here; name a folder of your own")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
