"""What this machine has of a calculator: the site file, checked; consent; commands, versions, check sums.

Nothing here runs a calculator's code, or imports it.
"""

import functools
import hashlib
import importlib.metadata
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prerelax.engines import ENGINES
from prerelax.engines.ase.known import KNOWN, Known, name_of
from prerelax.engines.ase.potentials import WEIGHTS
from prerelax.engines.level import Level
from prerelax.errors import MissingProgramError, UserError, nearest
from prerelax.settings import expand_path
from prerelax.site_file import ALLOW_VARIABLE, Program, Site, read_site, site_path

IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
VERSIONS = "import sys, importlib.metadata as m; print('\\n'.join(m.version(p) for p in sys.argv[1:]))"
PLACES = "import sys; print('\\n'.join(sys.path))"
PYTHON_LIMIT_S = 60.0
"""For an interpreter to say what it has, from a slow network disk as well."""


def site() -> Site:
    """The site file. Raises UserError where it is wrong, has an unknown program, or a key for nothing."""
    found = read_site()
    for name, program in found.programs.items():
        if wrong := _wrong(name, program):
            raise UserError(f"{site_path()}: programs.{name}{wrong}")
    return found


def _wrong(name: str, program: Program) -> str | None:
    """What is wrong with what the site file says of a program, after its name."""
    known = KNOWN.get(name)
    if known is None:
        if name != name_of(name):
            return f" is called {name_of(name)} here"
        if not IMPORT_PATH.fullmatch(name):
            ours = f"; the engine {name} takes nothing from this file" if name in ENGINES else ""
            return f": '{name}' is no known calculator, nor module:class{ours or nearest(name, KNOWN)}"
        does_nothing = "a class of your own gets it as a keyword, so write it under `options`"
    elif known.is_potential:
        does_nothing = "it is a package of Python; name the interpreter that has it as `python`"
    else:
        does_nothing = f"ASE finds it itself; put {known.command or name} on the PATH"
    if program.command is not None:
        if known is None or not known.obeys_command:
            return f".command does nothing: {does_nothing}"
        try:
            if not shlex.split(program.command):
                return ".command is empty; leave it out for the one on the PATH"
        except ValueError as error:
            return f".command cannot be read ({error}); write it as in a shell"
    if known is not None and known.takes_command:
        if program.python is not None:
            return f".python does nothing: prerelax runs {name} itself; leave it out"
        if program.options and not known.takes_options:
            return f".options: {name} has none; leave them out"
    return None


def check_consent(level: Level) -> None:
    """Raise UserError for a calculator, or weights, whose code is neither known nor allowed to run here."""
    said, name = site(), level.calculator or ""
    if name_of(name) not in KNOWN and not said.allows(name):
        module = name.partition(":")[0]
        raise UserError(
            f"the calculator {name} is code of your own, which runs only with your consent: write "
            f"`allow_calculators: [{module}]` into {site_path()}; "
            f"for one call, set {ALLOW_VARIABLE}={module}"
        )
    for text in texts([level.method, level.options]):
        if text.endswith(WEIGHTS) and not said.allows(text):
            raise UserError(
                f"loading {text} may run code that somebody put into it; if you trust it, write "
                f"`allow_calculators: [{text}]` into {site_path()}; for one call, set {ALLOW_VARIABLE}={text}"
            )


def scratch(said: Site) -> Path | None:
    """Where molecules' folders are made. Raises UserError for a place that is no folder."""
    if said.scratch is None:
        return None
    place = expand_path(said.scratch)
    if not place.is_dir():
        raise UserError(f"{site_path()}: scratch: {place} is no folder on this machine; make it")
    return place


def command(known: Known, program: Program, threads: int) -> list[str]:
    """The program's command, word for word; no shell reads it. ORCA in parallel needs its full path."""
    first, *others = shlex.split((program.command or known.command).replace("{threads}", str(threads)))
    if first.startswith("~"):
        first = str(Path(first).expanduser())
    return [shutil.which(first) or first, *others]


def interpreter(program: Program) -> str | None:
    """The Python of a calculator, where it is not prerelax's own."""
    return None if program.python is None else str(Path(program.python).expanduser())


@functools.cache
def program_digest(words: tuple[str, ...], name: str) -> str:
    """Of the files that a command names. Raises MissingProgramError where it cannot be run here."""
    paths = [shutil.which(word) for word in words]
    if paths[0] is None:
        if Path(words[0]).is_file():
            raise MissingProgramError(
                f"{words[0]}, which {site_path()} names for {name}, may not be executed; `chmod +x` it"
            )
        raise MissingProgramError(
            f"the program {words[0]} of the calculator {name} is not installed here; put it on the PATH, or "
            f"say its command in {site_path()}"
        )
    return digest(*(Path(path) for path in paths if path))


@functools.cache
def versions(python: str | None, packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of packages that an interpreter has; raises MissingProgramError where it lacks one."""
    if python is None:
        return {package: _version(package) for package in packages}
    said = _asked(python, VERSIONS, packages)
    if said is None:
        raise MissingProgramError(f"{python} lacks one of the packages {', '.join(packages)}")
    return dict(zip(packages, said.split(), strict=True))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise MissingProgramError(
            f"the package {package} is not installed here: `pip install {package}`, best in an environment "
            f"of its own, and name that one's python in {site_path()}"
        ) from None


def _asked(python: str, code: str, arguments: Sequence[str] = ()) -> str | None:
    """What an interpreter prints; None where it fails. Raises MissingProgramError where it does not run."""
    try:
        done = subprocess.run(
            [python, "-P", "-c", code, *arguments], capture_output=True, text=True, timeout=PYTHON_LIMIT_S
        )
    except OSError as error:
        raise MissingProgramError(
            f"{python}, which {site_path()} names, cannot be run: {error.strerror}"
        ) from None
    except subprocess.TimeoutExpired:
        raise MissingProgramError(
            f"{python}, which {site_path()} names, gave no answer in {PYTHON_LIMIT_S:g} s"
        ) from None
    return done.stdout if done.returncode == 0 else None


def module_digest(calculator: str, python: str | None) -> str:
    """Of the file that a class of the user's own is in; found without importing anything."""
    parts = calculator.partition(":")[0].split(".")
    places = filter(None, sys.path) if python is None else _places(python)
    for folder in (*places, str(Path.cwd())):
        base = Path(folder, *parts)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return digest(path)
    where = "here" if python is None else f"by {python}"
    raise MissingProgramError(
        f"the module {'.'.join(parts)} of the calculator {calculator} is not found {where}; call this in the "
        "folder that it lies in, or set PYTHONPATH"
    )


@functools.cache
def _places(python: str) -> tuple[str, ...]:
    """Where another interpreter looks for modules."""
    return tuple(filter(None, (_asked(python, PLACES) or "").splitlines()))


def digest(*paths: Path) -> str:
    """One check sum of the contents of files. Raises UserError where one cannot be read."""
    whole = hashlib.sha256()
    for path in paths:
        try:
            with path.expanduser().open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return whole.hexdigest()


def texts(value: object) -> Iterator[str]:
    """Every text within a value, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield str(key)
            yield from texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)
