"""What `prerelax init` writes: a folder in which `snakemake` runs the example, then one's own campaigns."""

import shutil
from pathlib import Path

from prerelax.errors import UserError
from prerelax.shipped import shipped

SNAKEFILE = """\
# Snakemake finds this file by its name; the workflow itself lies in the installed prerelax.
from prerelax.shipped import shipped


include: str(shipped("workflow/Snakefile"))


workflow.default_target = "all"  # an included file does not set it
"""
COPIES = {
    "config.yaml": "config.yaml",
    "config": "config",
    "examples": "examples",
    "slurm": "slurm",
    "workflow/profiles": "profiles",
}
"""What is copied, for a user edits it: where it is shipped, and where it lies in the folder."""


def start_folder(folder: Path) -> None:
    """Write the Snakefile, the example campaign, the papers' campaigns and the profiles to `folder`.

    Raises UserError, before anything is written, where one of these names is taken.
    """
    taken = [name for name in ("Snakefile", *COPIES.values()) if (folder / name).exists()]
    if taken:
        raise UserError(
            f"{folder} holds {', '.join(taken)} already; nothing was written. Choose another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Snakefile").write_text(SNAKEFILE)
    for source, name in COPIES.items():
        origin = shipped(source)
        if origin.is_dir():
            shutil.copytree(origin, folder / name)
        else:
            shutil.copy(origin, folder / name)
