"""The site file: where programs are on this machine, and whose code may run here.

It lies in `$PRERELAX_SITE`, or in ~/.config/prerelax/site.yaml. A campaign's config travels from hand to hand
and never holds these. Imports nothing heavy.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, JsonValue

from prerelax.reading import read_yaml_file
from prerelax.settings import Settings, model_from

SITE_VARIABLE = "PRERELAX_SITE"
ALLOW_VARIABLE = "PRERELAX_ALLOW_CALCULATORS"
"""What `--allow-calculators` says, for the processes that the call starts."""
DEFAULT_MEMORY_MB = 4000


class Program(Settings):
    """How a program or the package of a calculator is run on this machine."""

    command: str | None = Field(None, description="With arguments, as `mpirun -np {threads} nwchem`")
    python: str | None = Field(
        None, description="The interpreter that has the calculator's package. Default: prerelax's own"
    )
    environment: dict[str, str] = Field(default_factory=dict, description="Variables it is run with")
    options: dict[str, JsonValue] = Field(
        default_factory=dict, description="Keywords of the calculator that hold paths of this machine"
    )


class Site(Settings):
    """What is true of this machine alone."""

    allow_calculators: list[str] = Field(
        default_factory=list, description="Modules, and files of weights, whose code may run here"
    )
    scratch: str | None = Field(None, description="Folder of the programs' scratch files. Default: TMPDIR")
    memory_mb: int = Field(DEFAULT_MEMORY_MB, ge=250, description="Memory of each molecule's program")
    gradient_limit_s: float = Field(21600.0, gt=0, description="Seconds after which a gradient has hung")
    programs: dict[str, Program] = Field(default_factory=dict, description="By the calculator's name")

    def program(self, name: str) -> Program:
        """What is said of a calculator; the defaults where nothing is."""
        return self.programs.get(name, Program())

    def allows(self, name: str) -> bool:
        """Whether the code of a module (`module:attribute`) or a file may run."""
        allowed = [*self.allow_calculators, *filter(None, os.environ.get(ALLOW_VARIABLE, "").split(","))]
        return name in allowed or name.partition(":")[0] in allowed


def site_path() -> Path:
    """Where the site file is, or would be."""
    default = Path("~/.config/prerelax/site.yaml").expanduser()
    return Path(os.environ.get(SITE_VARIABLE) or default)


def read_site() -> Site:
    """The site file's contents; the defaults where there is none.

    Raises UserError for a file that is no YAML or has unknown keys, and for one that the variable names and
    that is missing.
    """
    path = site_path()
    if not path.exists() and SITE_VARIABLE not in os.environ:
        return Site()
    said = read_yaml_file(path, str(path))
    return model_from(Site, said if said is not None else {}, f"{path}: ")  # type: ignore[arg-type]


def allow_calculators(names: Iterable[str]) -> None:
    """Let this process, and those that it starts, run the code of these modules."""
    already = os.environ.get(ALLOW_VARIABLE, "")
    os.environ[ALLOW_VARIABLE] = ",".join(filter(None, [already, *names]))
