"""How near relaxations end to their minima, whether the estimate says so, and what that does to a comparison.

    python benchmarks/drug_sets.py SETS --test 110 --test-atoms 28 --training 0
    python benchmarks/minima.py FOLDER SETS/test.smi --molecules 100

At GFN2-xTB, from MMFF94's minima, from denoised starts, and from MMFF94's minima of other embeddings, on to
a largest force of 0.001 eV/Å: by geomeTRIC, and for the first `--with-bfgs` molecules by BFGS. Earlier stops
are of the same paths: at a largest force of 0.05 eV/Å and less, and where a convergence holds by the
estimate. Printed as Markdown: how many pairs change their class from there to the tight end; gradients saved
at each stop; how high a stop lies above its end, and how often the estimate is within a factor of 2 or
0.01 kcal/mol: the model's, which cheap targets have, and for the last `--along-surface` molecules that along
the corrected GFN1-xTB, which DFT targets have. Relaxations and estimates are kept in FOLDER; called again,
only what is missing is computed.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import ase.io
import numpy as np

from prerelax.comparison.ends import COUNTED, distances, where_ended
from prerelax.comparison.pairs import KCAL_MOL
from prerelax.comparison.statistics import distribution, times_fewer
from prerelax.engines import Level
from prerelax.molecules.superposition import rmsd
from prerelax.records.record import Record
from prerelax.records.shard import read_shard, write_shard
from prerelax.relaxation.ahead import Ahead, converged, forces_meet
from prerelax.relaxation.cheap_surface import CheapSurface
from prerelax.relaxation.convergence import CRITERIA
from prerelax.relaxation.foresight import Foresight
from prerelax.relaxation.optimizers import Evaluation
from prerelax.relaxation.settings import Relaxation
from prerelax.relaxation.shard import Named, relax_shard
from prerelax.starts.diffuse import diffuse_shard
from prerelax.starts.embed import embed_shard
from prerelax.starts.forcefield import forcefield_shard
from prerelax.starts.options import DiffuseOptions

GFN2 = Level(engine="tblite", method="GFN2-xTB")
STARTS = ("mmff94", "denoised")
OTHER = "mmff94-other"
"""MMFF94's minimum of another embedding"""
SEEDS = {"mmff94": 42, OTHER: 7}
CHUNK = 50
"""molecules in a file"""
TIGHT_EV_ANG = 0.001
LIMITS = (0.05, 0.03, 0.0154, 0.005)
"""eV/Å"""
NEXT_BASIN_ANG = 1.0
"""An end further from the stop is another minimum's, and counted apart."""


@dataclass
class Course:
    """One relaxation."""

    record: Record
    evaluations: list[Evaluation]

    def stop(self, limit: float) -> int | None:
        """The first evaluation without a larger force."""
        small = [each.fmax_ev_ang < limit for each in self.evaluations]
        return small.index(True) if any(small) else None

    def at_convergence(self, name: str) -> int | None:
        """The first evaluation that is converged by the model's estimate."""
        criteria = CRITERIA[name]
        for place, each in enumerate(self.evaluations):
            gradient = -each.forces.ravel()
            if forces_meet(criteria, gradient) and converged(criteria, gradient, self.model(place)):
                return place
        return None

    def model(self, place: int) -> Ahead:
        """What is expected at a cheap target."""
        return Foresight(self.record.numbers, None).ahead(self.evaluations[: place + 1])

    def along_surface(self, place: int) -> Ahead:
        """What is expected at a DFT target, this level standing for it."""
        return self._along_surface.ahead(self.evaluations[: place + 1])

    @cached_property
    def _along_surface(self) -> Foresight:
        surface = CheapSurface("gfn1", self.record.numbers, self.record.charge, self.record.multiplicity)
        return Foresight(self.record.numbers, surface)

    def height(self, place: int) -> float:
        """kcal/mol above the end."""
        lowest = min(each.energy_ev for each in self.evaluations)
        return (self.evaluations[place].energy_ev - lowest) / KCAL_MOL

    def is_elsewhere(self, place: int) -> bool:
        return rmsd(self.evaluations[place].positions, self.evaluations[-1].positions) > NEXT_BASIN_ANG


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("molecules_file", metavar="MOLECULES.smi", type=Path)
    parser.add_argument("--molecules", type=int, default=100)
    parser.add_argument("--with-bfgs", type=int, default=15)
    parser.add_argument("--along-surface", type=int, default=35)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    source, n = arguments.molecules_file, arguments.molecules
    geometric = {start: paths(folder, source, start, "geometric", n) for start in (*STARTS, OTHER)}
    for start in ("denoised", OTHER):
        print_classes(start, geometric[start], geometric["mmff94"])
    print_savings(geometric, "geomeTRIC")
    names = [row.id for row in read_shard(folder / f"mmff94-{(n - 1) // CHUNK}.extxyz")]
    print_heights(folder, geometric, set(names[-arguments.along_surface :]))
    if arguments.with_bfgs:
        bfgs = {start: paths(folder, source, start, "bfgs", arguments.with_bfgs) for start in STARTS}
        print_savings(bfgs, "BFGS")


def make_start(folder: Path, molecules: Path, start: str, chunk: int) -> Path:
    """The geometries of one file of molecules."""
    out = folder / f"{start}-{chunk}.extxyz"
    if not out.is_file():
        if start in SEEDS:
            rows = slice(CHUNK * chunk, CHUNK * (chunk + 1))
            embedded = folder / f"rdkit-{start}-{chunk}.extxyz"
            embed_shard(molecules, embedded, rows, 1, SEEDS[start])
            forcefield_shard(embedded, out, "mmff94", None, start)
        else:
            options = DiffuseOptions(model="relaxer-drugs-small", fallback="none")
            diffuse_shard(folder / f"mmff94-{chunk}.extxyz", out, options, start)
    return out


def paths(folder: Path, molecules: Path, start: str, optimizer: str, n: int) -> dict[str, Course]:
    """By molecule, the first `n` of a start that reached a tight end with the molecule's bonds."""
    found = {}
    for chunk in range(-(-n // CHUNK)):
        out = folder / f"{start}-{optimizer}-{chunk}.extxyz"
        trajectory = folder / f"{start}-{optimizer}-{chunk}-path.extxyz"
        begun = make_start(folder, molecules, start, chunk)
        if not out.is_file():
            if n < CHUNK:
                rows, begun = read_shard(begun)[:n], out.with_name(f"{out.stem}-in.extxyz")
                write_shard(begun, rows)
            tight = Relaxation(**GFN2.model_dump(), optimizer=optimizer, fmax=TIGHT_EV_ANG, max_steps=600)
            relax_shard(begun, out, tight, named=Named(target="gfn2"), trajectory=trajectory)
        relaxed = {row.id: row for row in read_shard(out)}
        frames = ase.io.read(trajectory, index=":")
        for name, of_molecule in groupby(frames, lambda frame: frame.info["id"]):
            row = relaxed[str(name)]
            if row.status == "ok" and row.connectivity_unchanged:
                evaluations = [
                    Evaluation(f.positions, float(f.get_potential_energy()), f.get_forces())
                    for f in of_molecule
                ]
                found[row.id] = Course(row, evaluations)
    return dict(list(found.items())[:n])


def print_heights(folder: Path, found: dict[str, dict[str, Course]], along_for: set[str]) -> None:
    kept = Kept(folder / "along.jsonl")
    print("\n| stop | n | median | 90 % below | most | > 0.1 | model right | along GFN1-xTB right, of |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    courses = [course for start in STARTS for course in found[start].values()]
    for name, stops in named_stops(courses):
        heights, model, along, model_there = [], [], [], []
        for path, place in zip(courses, stops, strict=True):
            if place is None or path.is_elsewhere(place):
                continue
            height = path.height(place)
            heights.append(height)
            model.append(is_right(path.model(place).energy_left_kcal_mol, height))
            if path.record.id in along_for and name != "normal":
                key = f"{path.record.id} {path.record.start} {place}"
                left = kept.get(key, lambda p=path, at=place: p.along_surface(at).energy_left_kcal_mol)
                along.append(is_right(left, height))
                model_there.append(model[-1])
        high = np.array(heights)
        shares = f"{100 * np.mean(along):.0f} % (model {100 * np.mean(model_there):.0f} %)" if along else "–"
        print(
            f"| {name} | {len(high)} | {np.median(high):.3f} | {np.percentile(high, 90):.3f} "
            f"| {high.max():.2f} | {(high > 0.1).sum()} | {100 * np.mean(model):.0f} % "
            f"| {shares}, {len(along)} |",
            flush=True,
        )


def named_stops(found: list[Course]) -> Iterator[tuple[str, list[int | None]]]:
    for limit in LIMITS:
        yield f"{limit:g} eV/Å", [path.stop(limit) for path in found]
    yield "normal", [path.at_convergence("normal") for path in found]


def is_right(estimate: float | None, truth: float) -> bool:
    """Within a factor of 2 or 0.01 kcal/mol."""
    if estimate is None:
        return False
    return truth / 2 <= estimate <= 2 * truth or abs(estimate - truth) <= 0.01


class Kept:
    """Estimates by molecule, start and evaluation, on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.is_file() else []
        self.known = dict(json.loads(line) for line in lines)

    def get(self, key, compute):
        if key not in self.known:
            self.known[key] = compute()
            with self.path.open("a") as file:
                file.write(json.dumps([key, self.known[key]]) + "\n")
        return self.known[key]


def print_classes(start: str, own: dict[str, Course], usual: dict[str, Course]) -> None:
    both = sorted(set(own) & set(usual))
    pairs = [(own[name], usual[name]) for name in both]
    ends = classes([(a, len(a.evaluations) - 1, b, len(b.evaluations) - 1) for a, b in pairs])
    print(f"\n| {start} and mmff94, stop | pairs | {' | '.join(COUNTED)} | other class at the tight end |")
    print(f"| --- | --- |{' --- |' * (len(COUNTED) + 1)}")
    stops = dict(named_stops([a for a, _ in pairs])), dict(named_stops([b for _, b in pairs]))
    for name in ("0.03 eV/Å", "0.0154 eV/Å", "0.005 eV/Å", "normal"):
        at = [(a, s, b, t) for (a, b), s, t in zip(pairs, stops[0][name], stops[1][name], strict=True)]
        reached = [place for place, (_, s, _, t) in enumerate(at) if s is not None and t is not None]
        now = classes([at[place] for place in reached])
        print_class_row(name, now, [ends[place] for place in reached])
    print_class_row("tight", ends, ends)


def print_class_row(name: str, now: list[str], tight: list[str]) -> None:
    counts = " | ".join(str(now.count(word)) for word in COUNTED)
    changed = sum(a != b for a, b in zip(now, tight, strict=True))
    print(f"| {name} | {len(now)} | {counts} | {changed} ({100 * changed / len(now):.1f} %) |")


def classes(ends: list[tuple[Course, int, Course, int]]) -> list[str]:
    smiles = [a.record.smiles for a, _, _, _ in ends]
    own = [a.evaluations[s] for a, s, _, _ in ends]
    other = [b.evaluations[t] for _, _, b, t in ends]
    apart = distances(smiles, [e.positions for e in own], [e.positions for e in other])
    delta = np.array([(a.energy_ev - b.energy_ev) / KCAL_MOL for a, b in zip(own, other, strict=True)])
    left = [
        np.array([path.model(at).fall_ev / KCAL_MOL for path, at in each])
        for each in ([(a, s) for a, s, _, _ in ends], [(b, t) for _, _, b, t in ends])
    ]
    return where_ended(delta, *left, apart).tolist()


def print_savings(found: dict[str, dict[str, Course]], optimizer: str) -> None:
    both = sorted(set.intersection(*(set(found[start]) for start in STARTS)))
    print(
        f"\n| {optimizer}, stop | molecules | MMFF94 | denoised | saved, median / % | times fewer, by sums |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    stops = {
        start: dict(named_stops([found[start][name] for name in both]))
        | {"0.001 eV/Å": [len(found[start][name].evaluations) - 1 for name in both]}
        for start in STARTS
    }
    for name in ("0.03 eV/Å", "0.0154 eV/Å", "0.005 eV/Å", "0.001 eV/Å", "normal"):
        counts = [
            (a, b) for a, b in zip(*(stops[s][name] for s in STARTS), strict=True) if None not in (a, b)
        ]
        usual, own = (np.array(each) + 1 for each in zip(*counts, strict=True))
        saved = distribution(100 * (1 - own / usual))
        ratio, low, high = times_fewer(own, usual)
        interval = f"[{saved.ci_low:.0f}, {saved.ci_high:.0f}]"
        print(
            f"| {name} | {len(own)} | {usual.mean():.1f} | {own.mean():.1f} "
            f"| {saved.median:.0f} {interval} | {ratio:.2f} [{low:.2f}, {high:.2f}] |",
            flush=True,
        )


if __name__ == "__main__":
    main()
