"""What `prerelax verify` found, for the terminal, for the campaign's page and for scripts: verified.json."""

import hashlib
import importlib.metadata
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from prerelax.records.atomic_write import write_text_atomically

VERIFIED = "verified.json"
SHOWN = 20
"""Problems on the terminal; all of them are in the file."""


@dataclass
class Agreement:
    """How well rows computed again agree with what the campaign has."""

    n: int = 0
    energy_ev: float = 0.0
    """largest difference of an energy"""
    force_ev_ang: float = 0.0
    """largest difference of a largest force on an atom"""


@dataclass
class Verdict:
    """The outcome of `prerelax verify`; `results/<campaign>/verified.json` has these fields and `passed`."""

    campaign: str
    at: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))
    prerelax: str = field(default_factory=lambda: importlib.metadata.version("prerelax"))
    n_molecules: int = 0
    """rows of the input"""
    n_shards: int = 0
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    """how many rows have which status, by stage (`molecules`, `starts/mmff94`, `relaxed/gfn2/mmff94`)"""
    n_geometries: int = 0
    """relaxed geometries whose bonds and stereochemistry were compared with their molecules'"""
    n_other_bonds: int = 0
    n_other_stereo: int = 0
    computed_again: dict[str, Agreement] = field(default_factory=dict)
    """by target"""
    n_files: int = 0
    n_files_as_noted: int = 0
    """of them unchanged since an earlier call noted their check sums"""
    comparison_sha256: str = ""
    """of the comparison.csv that was looked at; a page of another one must not show this verdict"""
    notes: list[str] = field(default_factory=list)
    """sentences on what is right and still worth knowing"""
    problems: list[str] = field(default_factory=list)
    """sentences on what is wrong and what to do"""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def text(self) -> str:
        """For the terminal."""
        width = max(map(len, self.rows), default=0)
        lines = [f"{_counted(self.n_molecules, 'molecule')} in {_counted(self.n_shards, 'shard')}:"]
        lines += [f"  {stage:{width}}  {_of_stage(statuses)}" for stage, statuses in self.rows.items()]
        lines += [*self._found(), *self.notes, *(f"wrong: {each}" for each in self.problems[:SHOWN])]
        if len(self.problems) > SHOWN:
            lines.append(f"and {len(self.problems) - SHOWN} more, all of them in {VERIFIED}")
        end = "verified: no row is missing and nothing has changed"
        return "\n".join([*lines, end if self.passed else _counted(len(self.problems), "problem")])

    def _found(self) -> list[str]:
        lines = []
        if self.n_geometries:
            lines.append(
                f"{_counted(self.n_geometries, 'relaxed geometry', 'relaxed geometries')}: "
                f"{self.n_other_bonds} with other bonds than the molecule, "
                f"{self.n_other_stereo} with another stereochemistry"
            )
        for target, found in self.computed_again.items():
            lines.append(
                f"target {target}: {_counted(found.n, 'row')} computed again, energies agree to "
                f"{found.energy_ev:.1e} eV, largest forces to {found.force_ev_ang:.1e} eV/Å"
            )
        n_new = self.n_files - self.n_files_as_noted
        if not self.n_files_as_noted:
            return [*lines, f"{_counted(self.n_files, 'file')}, looked at for the first time"]
        new = f", {n_new} new or written since" if n_new else ""
        return [*lines, f"{_counted(self.n_files, 'file')}: {self.n_files_as_noted} as at the last call{new}"]

    def write(self, results: Path) -> None:
        """Write verified.json into a campaign's results."""
        said = {**asdict(self), "passed": self.passed}
        write_text_atomically(results / VERIFIED, json.dumps(said, indent=1, ensure_ascii=False) + "\n")


def read_verdict(results: Path) -> Verdict | None:
    """The verdict on a campaign's present comparison.csv; None where there is none, or of another one."""
    try:
        said = json.loads((results / VERIFIED).read_text())
        del said["passed"]
        said["computed_again"] = {name: Agreement(**each) for name, each in said["computed_again"].items()}
        verdict = Verdict(**said)
        return verdict if verdict.comparison_sha256 == sha256_of_comparison(results) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def sha256_of_comparison(results: Path) -> str:
    """Of comparison.csv in a campaign's results; empty where there is none."""
    path = results / "comparison.csv"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _of_stage(statuses: dict[str, int]) -> str:
    words = ", ".join(f"{n} {status}" for status, n in statuses.items())
    return f"{_counted(sum(statuses.values()), 'row')}: {words}"


def _counted(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
