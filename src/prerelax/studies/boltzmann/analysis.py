"""Energies of repeated denoising steps against Boltzmann's distribution (paper E, figures 7-9).

Every step n is a distribution of energies, and so is every temperature of Metropolis. As the paper, each
molecule's diffusion energies are shifted as a whole so that its smallest step has the mean energy of its
lowest temperature: the network samples around DFT's minimum and the energies are xTB's.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from ase import units
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from prerelax.comparison.pairs import KCAL_MOL
from prerelax.comparison.statistics import FEWEST, mean_interval, per_molecule
from prerelax.errors import UserError
from prerelax.studies.boltzmann.energies import DIFFUSION, METROPOLIS, Chains, Energies, Sample
from prerelax.studies.boltzmann.rising import Rising

PAPER_TEMPERATURES_K = {6: 20.0, 14: 70.0, 20: 120.0, 30: 300.0}
"""Steps and temperatures that the paper pairs."""
PAPER_LARGEST_OFFSET_KCAL_MOL = 2.0
PAPER_REPEATS = 20_000
"""of each step"""
PAPER_ENERGIES = 24_000 * 18 * 10
"""Metropolis proposals: steps, temperatures, molecules."""
ENOUGH_OVERLAP = 0.9
"""Of a chain's halves: below it the chain is too short to tell a distribution."""


@dataclass(frozen=True)
class Comparison:
    """Diffusion against Metropolis."""

    distributions: pd.DataFrame
    """a row for each molecule and distribution: id, kind, label, mean_kcal_mol, error_kcal_mol, std_kcal_mol,
    overlap_of_halves (of Metropolis), n, n_independent, acceptance, step_ang, heat_capacity,
    heat_capacity_error; energies above the harmonic
    estimate of the minimum, heat capacities in units of a harmonic molecule's, n_modes / 2 k"""
    pairs: pd.DataFrame
    """a row for each molecule and step: id, n, temperature_k of the same mean energy, extrapolated,
    law_temperature_k, paired_temperature_k (the nearest of Metropolis's), overlap and overlap_of_halves
    there, std_ratio (to Metropolis's width at the temperature that the molecule's own law, T = factor × n²,
    leaves of temperature_k when its smallest step is not taken for its lowest temperature; along a curve that
    never falls; nan for the smallest step), offset_kcal_mol, paper_temperature_k"""
    factor_k: float
    """T = factor × n², for all molecules"""
    factors_k: NDArray[np.float64]
    """[n_molecules] each molecule's own"""
    energies: dict[tuple[str, str, float], NDArray[np.float64]]
    """kcal/mol on the scale of `distributions`, by id, kind and label"""
    left_out: dict[str, int]
    seconds_per_thousand: dict[str, float]
    network: dict[float, Chains]
    control: dict[float, Chains]


def compare(read: Energies) -> Comparison:
    """Bring both kinds on one scale, and find which temperature each step stands for.

    Molecules count that have at least one step and two temperatures. One factor of T = factor × n² is fitted
    to differences from each molecule's smallest step, which the offset does not enter. Raises UserError where
    no molecule counts.
    """
    left_out = Counter(read.left_out)
    counted = []
    for name in dict.fromkeys(sample.id for sample in read.samples):
        hot = [s for s in read.samples if s.id == name and s.kind == METROPOLIS]
        steps = [s for s in read.samples if s.id == name and s.kind == DIFFUSION]
        if len(hot) >= 2 and steps:
            counted.append(_Molecule(name, hot, steps))
        else:
            left_out["molecules without a step and two temperatures"] += 1
    if not counted:
        raise UserError("no molecule has energies of a repeated step and of two temperatures")
    differences = [molecule.differences() for molecule in counted]
    squares, temperatures = (np.concatenate(parts) for parts in zip(*differences, strict=True))
    factor = float(squares @ temperatures / (squares @ squares)) if squares.any() else math.nan
    own = np.array([molecule.factor_k() for molecule in counted if len(molecule.steps) > 1])
    return Comparison(
        pd.DataFrame([row for molecule in counted for row in molecule.distributions(factor)]),
        pd.DataFrame([row for molecule in counted for row in molecule.pairs(factor)]),
        factor,
        own,
        {key: energies for molecule in counted for key, energies in molecule.energies().items()},
        dict(left_out),
        read.seconds_per_thousand,
        read.network,
        read.control,
    )


class _Molecule:
    """One molecule's samples, by ascending temperature and step."""

    def __init__(self, name: str, hot: Sequence[Sample], steps: Sequence[Sample]) -> None:
        self.name, self.hot, self.steps = name, hot, steps
        coldest = hot[0]
        self.zero_ev = float(coldest.energies_ev.mean()) - coldest.n_modes / 2 * units.kB * coldest.label
        self.offset_ev = float(steps[0].energies_ev.mean() - coldest.energies_ev.mean())
        self.temperatures_k = np.array([sample.label for sample in hot])
        errors = [sample.error_ev for sample in hot]
        self.means_ev = Rising.fit(self.temperatures_k, [s.energies_ev.mean() for s in hot], errors)
        self.widths_ev = Rising.fit(self.temperatures_k, [s.energies_ev.std() for s in hot], errors)

    def above_ev(self, sample: Sample) -> NDArray[np.float64]:
        offset_ev = self.offset_ev if sample.kind == DIFFUSION else 0.0
        above: NDArray[np.float64] = sample.energies_ev - self.zero_ev - offset_ev
        return above

    def energies(self) -> dict[tuple[str, str, float], NDArray[np.float64]]:
        samples = [*self.hot, *self.steps]
        return {(s.id, s.kind, s.label): self.above_ev(s) / KCAL_MOL for s in samples}

    def temperature_k(self, sample: Sample) -> tuple[float, bool]:
        """Where Metropolis has the mean energy of a step, along a curve through its means that never falls;
        whether that is beyond its temperatures, where the curve's last line goes on.
        """
        return self.means_ev.inverse(float(sample.energies_ev.mean()) - self.offset_ev)

    def differences(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """n² and equivalent temperatures of the steps, both from those of the smallest step."""
        squares = np.array([sample.label**2 for sample in self.steps])
        temperatures = np.array([self.temperature_k(sample)[0] for sample in self.steps])
        return squares[1:] - squares[0], temperatures[1:] - temperatures[0]

    def factor_k(self) -> float:
        """Its own factor of T = factor × n²; nan for one step."""
        squares, temperatures = self.differences()
        return float(squares @ temperatures / (squares @ squares)) if len(squares) else math.nan

    def distributions(self, factor: float) -> list[dict[str, object]]:
        return [self._distribution(sample, factor) for sample in (*self.hot, *self.steps)]

    def _distribution(self, sample: Sample, factor: float) -> dict[str, object]:
        temperature_k = sample.label if sample.kind == METROPOLIS else factor * sample.label**2
        capacity, error = heat_capacity(sample, temperature_k)
        return {
            "id": self.name,
            "kind": sample.kind,
            "label": sample.label,
            "temperature_k": temperature_k,
            "mean_kcal_mol": self.above_ev(sample).mean() / KCAL_MOL,
            "error_kcal_mol": sample.error_ev / KCAL_MOL,
            "std_kcal_mol": sample.energies_ev.std() / KCAL_MOL,
            "harmonic_mean_kcal_mol": sample.n_modes / 2 * units.kB * temperature_k / KCAL_MOL,
            "overlap_of_halves": _halves(sample) if sample.kind == METROPOLIS else math.nan,
            "n": len(sample.energies_ev),
            "n_independent": sample.n_independent,
            "acceptance": sample.acceptance,
            "step_ang": sample.step_ang,
            "heat_capacity": capacity,
            "heat_capacity_error": error,
        }

    def pairs(self, factor: float) -> list[dict[str, object]]:
        return [self._pair(sample, factor) for sample in self.steps]

    def _pair(self, sample: Sample, factor: float) -> dict[str, object]:
        temperature_k, extrapolated = self.temperature_k(sample)
        known_k = temperature_k if math.isfinite(temperature_k) else factor * sample.label**2
        nearest = self.hot[int(np.abs(self.temperatures_k - known_k).argmin())]
        reference = self.above_ev(nearest)
        # The smallest step has the lowest temperature by the offset alone; so much all steps are too warm.
        too_warm_k = self.temperatures_k[0] - self.factor_k() * self.steps[0].label ** 2
        width_ev = self.widths_ev.at(temperature_k - too_warm_k)
        compared = sample is not self.steps[0] and width_ev > 0
        return {
            "id": self.name,
            "n": int(sample.label),
            "temperature_k": temperature_k,
            "extrapolated": extrapolated,
            "law_temperature_k": factor * sample.label**2,
            "paper_temperature_k": PAPER_TEMPERATURES_K.get(int(sample.label), math.nan),
            "paired_temperature_k": nearest.label,
            "overlap": overlap(self.above_ev(sample), reference),
            "overlap_of_halves": _halves(nearest),
            "std_ratio": sample.energies_ev.std() / width_ev if compared else math.nan,
            "offset_kcal_mol": self.offset_ev / KCAL_MOL,
        }


def _halves(sample: Sample) -> float:
    return overlap(*np.array_split(sample.energies_ev, 2))


def heat_capacity(sample: Sample, temperature_k: float) -> tuple[float, float]:
    """Variance of the energy / kT² and its standard error, in units of a harmonic molecule's n_modes / 2 k.

    The potential energy's part alone; Metropolis and diffusion have no kinetic one.
    """
    unit = sample.n_modes / 2 * (units.kB * temperature_k) ** 2
    mean = sample.energies_ev.mean()
    squares = Sample(sample.id, sample.kind, 0, tuple((c - mean) ** 2 for c in sample.chains_ev), 0)
    return float(squares.energies_ev.mean() / unit), squares.error_ev / unit


def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """∫ min(p, q) of the distributions of `a` and `b` [n], from histograms; 1 for equal ones, 0 for disjoint.

    Bins by Freedman and Diaconis (1981) for the smaller sample, counted on all. Finite samples of one
    distribution stay below 1: compare with the overlap of halves.
    """
    both = np.concatenate([a, b])
    if np.ptp(both) == 0:
        return 1.0
    smaller = min((a, b), key=len)
    width = 2 * np.subtract(*np.quantile(both, [0.75, 0.25])) / len(smaller) ** (1 / 3)
    n_bins = int(np.clip(np.ptp(both) / width, 4, 100)) if width > 0 else 4
    edges = np.linspace(both.min(), both.max(), n_bins + 1)
    shares = [np.histogram(values, edges)[0] / len(values) for values in (a, b)]
    return float(np.minimum(*shares).sum())


def paper_factors_k() -> tuple[float, float]:
    """The least and the largest factor of T = factor × n² that the paper's pairs give, in K.

    By differences from its smallest step, as ours: that one has its temperature by the offset alone.
    """
    (first, coldest), *rest = PAPER_TEMPERATURES_K.items()
    found = [(t - coldest) / (n**2 - first**2) for n, t in rest]
    return min(found), max(found)


def spread(values: ArrayLike) -> tuple[float, float, float]:
    """Standard deviation over the mean, and its 95 % interval by χ², nan for too few values."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    n = len(known)
    if n < 2:
        return math.nan, math.nan, math.nan
    value = float(known.std(ddof=1) / abs(known.mean()))
    if n < FEWEST:
        return value, math.nan, math.nan
    low, high = value * np.sqrt((n - 1) / stats.chi2.ppf((0.975, 0.025), n - 1))
    return value, float(low), float(high)


def summarise(compared: Comparison) -> pd.DataFrame:
    """The numbers to be quoted, the paper's beside them: quantity, ours, ci_low, ci_high, n, paper."""
    rows: list[tuple[str, float, float, float, int, str]] = []

    def add_one(words: str, value: float, n: int, paper: str = "") -> None:
        rows.append((words, value, math.nan, math.nan, n, paper))

    def add(words: str, values: NDArray[np.float64], paper: str = "") -> None:
        values = np.asarray(values, dtype=float)
        values = values[np.isfinite(values)]
        if len(values):
            low, high = mean_interval(values)
            rows.append((words, float(values.mean()), low, high, len(values), paper))

    for n, found in compared.pairs.groupby("n"):
        paper = found["paper_temperature_k"].iloc[0]
        words = "" if math.isnan(paper) else f"{paper:g}"
        add(f"n = {n}: temperature of the same mean energy / K", found["temperature_k"].to_numpy(), words)
        add(f"n = {n}: overlap with the paired temperature", found["overlap"].to_numpy())
        add(f"n = {n}: overlap of that temperature's halves", found["overlap_of_halves"].to_numpy())
        add(f"n = {n}: width over Metropolis's", found["std_ratio"].to_numpy(), "wider")
    low, high = paper_factors_k()
    paper = f"{low:.2f} to {high:.2f}"
    add("factor of T = factor n² / K, molecule by molecule", compared.factors_k, paper)
    add_one("the same, one for all molecules", compared.factor_k, len(compared.factors_k), paper)
    words = "standard deviation of the molecules' factors over their mean"
    rows.append((words, *spread(compared.factors_k), len(compared.factors_k), "one factor"))
    offsets = compared.pairs.groupby("id")["offset_kcal_mol"].first().to_numpy()
    add("offset of a molecule / kcal/mol, absolute", np.abs(offsets), f"< {PAPER_LARGEST_OFFSET_KCAL_MOL:g}")
    for kind, found in compared.distributions.groupby("kind"):
        add(
            f"heat capacity over the harmonic one, {kind}",
            per_molecule(found["heat_capacity"], found["id"]),
        )
    accepted = compared.distributions
    add("acceptance of Metropolis", per_molecule(accepted["acceptance"], accepted["id"]))
    hot = compared.distributions[compared.distributions["kind"] == METROPOLIS]
    short = int((hot["overlap_of_halves"] < ENOUGH_OVERLAP).sum())
    add_one(f"chains of Metropolis whose halves overlap below {ENOUGH_OVERLAP:g}", short, len(hot))
    add_one("independent energies, the fewest of Metropolis", float(hot["n_independent"].min()), len(hot))
    for words, paper, by_step in (
        ("chains that break", "none", compared.network),
        ("chains of its noise alone that break", "diverge", compared.control),
    ):
        for n, chains in by_step.items():
            add_one(f"n = {n:g}: {words}", chains.broken, chains.n, paper)
            add_one(f"n = {n:g}: repeats of {words}", chains.repeats, chains.n, str(PAPER_REPEATS))
    for kind, seconds in compared.seconds_per_thousand.items():
        add_one(f"seconds per thousand energies, {kind}", seconds, 1)
        if kind == METROPOLIS:
            hours = seconds * PAPER_ENERGIES / 1000 / 3600
            add_one("hours of one worker for 24 000 × 18 × 10 energies", hours, 1)
    return pd.DataFrame(rows, columns=["quantity", "ours", "ci_low", "ci_high", "n", "paper"])
