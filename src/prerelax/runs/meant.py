"""The campaign that a line of `prerelax run` means, as the YAML file that it writes."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prerelax.campaign.ensemble import CHEAP_STARTS
from prerelax.denoisers.choosing import AUTO
from prerelax.denoisers.model_folders import find_model
from prerelax.engines import is_cheap
from prerelax.engines.level import Level
from prerelax.errors import UserError, nearest
from prerelax.molecules.input_files import count_rows

STARTS: dict[str, dict[str, dict[str, str]]] = {
    "rdkit": {"rdkit": {"kind": "embed"}},
    "uff": {"uff": {"kind": "forcefield", "method": "uff"}},
    "mmff94": {"mmff94": {"kind": "forcefield"}},
    "gfn2": {"gfn2": {"kind": "relax", "engine": "tblite", "method": "GFN2-xTB"}},
}
WRITTEN_BY = "# Written by `prerelax run`"
MOST_ROWS = 100
"""of a shard"""
SHARDS_A_CORE = 4
FEWEST_ROWS_IF_CHEAP = 25
"""of a shard at a cheap target: starting its jobs takes as long as relaxing so many"""


@dataclass(frozen=True)
class Wanted:
    """What a line of `prerelax run` says."""

    molecules: Path
    level: Level
    start: str = AUTO
    compare: str = "none"
    """all, none, or a number of molecules"""
    conformers: int = 1
    """of each molecule, of which those are relaxed that are different and low at GFN2-xTB"""
    more_levels: tuple[Level, ...] = ()
    """to which the same starts are relaxed as well"""

    @property
    def levels(self) -> dict[str, Level]:
        """All levels, by the names of their targets. Raises UserError where one is said twice."""
        every = (self.level, *self.more_levels)
        named = {_slug(_basis_in_letters(_without_engine(level))): level for level in every}
        if len(named) < len(every):
            raise UserError("--target: the same level is named twice; leave one out")
        return named

    @property
    def is_dear(self) -> bool:
        """Whether a level takes a DFT program."""
        return not all(map(is_cheap, self.levels.values()))


@dataclass(frozen=True)
class Meant:
    """A campaign file and its text."""

    name: str
    text: str

    @property
    def path(self) -> Path:
        """In the folder where the line is called."""
        return Path(f"{self.name}.yaml")

    def write(self) -> None:
        """Write the file, unless it says the same. Raises UserError where somebody edited it."""
        if self.path.exists():
            before = self.path.read_text(encoding="utf-8")
            if before == self.text:
                return
            if not before.startswith(WRITTEN_BY) or _without_line(before) != _without_line(self.text):
                raise UserError(
                    f"{self.path} is not what this line means; run it with `snakemake --configfile`, or "
                    "rename it and its folder in results/ to begin anew"
                )
        self.path.write_text(self.text, encoding="utf-8")


def _without_line(text: str) -> str:
    """The file without its comments and without what changes nothing that is finished."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(("#", "shard_size")))


def meant(wanted: Wanted, cores: int) -> Meant:
    """The campaign of a line; the same line always means the same one. Raises UserError for unknown words."""
    n_rows = count_rows(wanted.molecules)
    stem = _slug(wanted.molecules.name.removesuffix(".gz").rsplit(".", 1)[0])
    parts = [stem, *wanted.levels, *([_slug(wanted.start)] if wanted.start != AUTO else [])]
    compared = _compared(wanted)
    if compared != "none":
        parts.append("compared")
    if wanted.conformers > 1:
        parts.append(f"conformers-{wanted.conformers}")
    name = "-".join(parts)
    wanted_starts = _starts(wanted)
    baseline = "rdkit" if wanted.start == "mmff94" else "mmff94"
    starts = {**STARTS[baseline], **wanted_starts}
    fewest = 1 if wanted.is_dear else FEWEST_ROWS_IF_CHEAP
    size = max(fewest, min(MOST_ROWS, math.ceil(n_rows / (SHARDS_A_CORE * cores))))
    lines = [
        f"{WRITTEN_BY}: {n_rows} molecules at {', '.join(map(str, wanted.levels.values()))}.",
        "# The same line goes on where it stopped. To change anything, copy this file under another name and",
        "# another `campaign`, then `snakemake --configfile` it. docs/guide/campaign.md explains every key.",
        f"campaign: {name}",
        f"molecules: {json.dumps(str(wanted.molecules), ensure_ascii=False)}",
        f"compare: {compared}",
    ]
    targets: dict[str, dict[str, object]]
    targets = {name: level.model_dump(exclude_defaults=True) for name, level in wanted.levels.items()}
    if wanted.conformers > 1:
        lines += _kept(wanted)
    if compared != "none" and wanted.is_dear:
        targets = {key: target | {"starts": list(wanted_starts)} for key, target in targets.items()}
        lines.append(
            "practice: gfn2-geometric  # usual practice: GFN2-xTB, then redundant internal coordinates"
        )
    else:
        lines.append(f"baseline: {baseline}")
    lines += [
        f"shard_size: {size}  # molecules that one job treats",
        "starts:",
        *(f"  {key}: {_flow(start)}" for key, start in starts.items()),
        "targets:",
        *(f"  {key}: {_flow(target)}" for key, target in targets.items()),
    ]
    return Meant(name, "\n".join(lines) + "\n")


def _kept(wanted: Wanted) -> list[str]:
    """How conformers are sorted out, in the file's words."""
    return [
        f"conformers: {{count: {wanted.conformers}, keep: {{window_kcal_mol: 3, rmsd_ang: 0.3, at: "
        f"{_cheap_start(wanted)}}}}}  # those that are different, near the lowest"
    ]


def _cheap_start(wanted: Wanted) -> str:
    """The start by which conformers are sorted out: GFN2-xTB, or below it GFN1-xTB."""
    return "gfn2" if wanted.is_dear else "gfn1"


def _starts(wanted: Wanted) -> dict[str, dict[str, str]]:
    if wanted.conformers > 1 and wanted.start == AUTO:
        name = _cheap_start(wanted)
        return {name: {key: word for key, word in CHEAP_STARTS[name].items() if key != "from"}}
    if wanted.start in STARTS:
        return STARTS[wanted.start]
    if wanted.start != AUTO:
        try:
            find_model(wanted.start)
        except UserError as error:
            near = nearest(wanted.start, (*STARTS, AUTO), list_known=False)
            raise UserError(f"the start {wanted.start!r} is not known{near or f': {error}'}") from None
    key = AUTO if wanted.start == AUTO else _slug(Path(wanted.start).name)
    return {key: {"kind": "diffuse", "model": wanted.start}}


def _compared(wanted: Wanted) -> str:
    if wanted.compare in ("all", "none"):
        if wanted.compare == "all" and wanted.start == "mmff94":
            raise UserError(
                "mmff94 is the usual start itself; leave out --compare, or choose another --start"
            )
        return wanted.compare
    if not wanted.compare.isdigit() or int(wanted.compare) < 1:
        raise UserError(f"--compare {wanted.compare!r}: write all, none, or a number of molecules")
    return f"{{sample: {wanted.compare}}}"


def _flow(part: Mapping[str, object]) -> str:
    """A mapping on one line of YAML; JSON's strings are YAML's."""
    words = (f"{key}: {_word(value)}" for key, value in part.items())
    return f"{{{', '.join(words)}}}"


def _word(value: object) -> str:
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", value)
    is_word = plain and str(value).lower() not in (
        "yes",
        "no",
        "on",
        "off",
        "true",
        "false",
        "null",
        "y",
        "n",
    )
    return str(value) if is_word else json.dumps(value, ensure_ascii=False)


def _without_engine(level: Level) -> str:
    return str(level).rpartition(" (")[0]


def _basis_in_letters(level: str) -> str:
    """6-31+G* as 6-31pgs, as file names have it: without signs it would be another basis, 6-31G."""
    return re.sub(r"(?<=[G)])\*+", lambda stars: "s" * len(stars[0]), level.replace("+", "p"), flags=re.I)


def _slug(text: str) -> str:
    """Lower-case letters, digits and hyphens of a text."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "molecules"
