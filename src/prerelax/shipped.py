"""Where the shipped models, the workflow, its configs and profiles lie."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """A file or folder that comes with prerelax, for example `models` or `workflow/Snakefile`.

    They lie at the root of the source tree; the wheel carries them in the package's folder `share`.
    """
    installed = PACKAGE / "share"
    return (installed if installed.is_dir() else PACKAGE.parents[1]) / name
