"""When relaxations of inputs whose minimum is known are MoreRed's: rows on QM7-X."""

import math
from collections.abc import Sequence
from itertools import product

import pandas as pd

from prerelax.comparison.statistics import FEWEST
from prerelax.ledger.criteria import (
    TOO_FEW,
    Estimate,
    all_of,
    less,
    mean_of,
    median_of,
    more,
    number,
    paired,
    share,
    signs,
    unless,
)
from prerelax.ledger.morered_training import (
    fewer_data,
    fewer_minima,
    other_molecules,
    poor_force_field,
    told_more,
)
from prerelax.ledger.row import AbsentError, Finding, Found
from prerelax.studies.relaxation.table import counted, judged, outliers

SAMPLERS = ("itp", "as", "jt")
PAPER_AFTER_ANG = {"itp": 0.12, "as": 0.05, "jt": 0.06}
"""median RMSD after, of the paper's displaced inputs"""


# --- Tables -------------------------------------------------------------------------------------------------


def _rows(found: Found, method: str, given: str = "displaced", table: str = "methods") -> pd.DataFrame:
    """Inputs of a method that have a minimum, failures (no result, or farther than before) as ratio 1."""
    everything = found.table(f"relaxation/{table}")
    rows = everything[(everything["input"] == given) & (everything["method"] == method)]
    rows = counted(rows)
    if rows.empty:
        raise AbsentError(f"{found.name} has no {method} of {given} inputs")
    rows["judged"] = judged(rows)
    return rows


def _failing(found: Found, method: str, given: str = "displaced", table: str = "methods") -> Estimate:
    rows = _rows(found, method, given, table)
    return share(rows["failed"], rows["id"])


def _by_molecule(
    found: Found, methods: Sequence[str], column: str, table: str = "methods", given: str = "displaced"
) -> pd.DataFrame:
    """[molecules, methods] means of a column over each molecule's inputs."""
    means = {m: _rows(found, m, given, table).groupby("id")[column].mean() for m in methods}
    return pd.DataFrame(means).dropna()


def _on_equal_terms(found: Found) -> tuple[str, str]:
    """Table and ending of the denoisers that know what the MLFF does, no bonds and no other weights; where a
    campaign has none apart, those that it has."""
    try:
        _rows(found, "jt-blind", table="blind")
    except AbsentError:
        return "methods", ""
    return "blind", "-blind"


def _of_denoisers(found: Found, finding: Finding, methods: Sequence[str], table: str) -> Finding:
    """A claim on MoreRed: `same` proves nothing by networks that were told more than the paper's, `opposite`
    nothing by networks that end twice as far as the paper's."""
    objection = ""
    if finding.verdict == "same" and table == "methods":
        objection = told_more(found)
    elif finding.verdict == "opposite":
        objection = _poor(found, methods, table)
    return unless(objection, finding)


def _poor(found: Found, methods: Sequence[str], table: str) -> str:
    for method in methods:
        after = float(_rows(found, method, table=table)["rmsd_after_ang"].median())
        paper = PAPER_AFTER_ANG[method.partition("-")[0]]
        if after > 2 * paper:
            return f"its {method} ends at {after:.2f} Å, the paper's at {paper:g} Å"
    return ""


# --- Predicted steps (3a) -----------------------------------------------------------------------------------


def step_by_rmsd(found: Found) -> Finding:
    """Whether the predicted step goes with the RMSD: r above 0.8, as many points as molecules."""
    parts = []
    for method in ("jt", "as"):
        rows = _steps(found, method)
        n = int(rows["id"].nunique())
        r = float(rows["rmsd_before_ang"].corr(rows["first_step"]))
        if n < FEWEST or not math.isfinite(r):
            parts.append(Finding(f"{method}: r = {r:.2f}", n, "undecided", TOO_FEW))
            continue
        centre, half = math.atanh(min(r, 0.9999)), 1.96 / math.sqrt(n - 3)  # Fisher's z
        told = Estimate(r, math.tanh(centre - half), math.tanh(centre + half), n)
        parts.append(more(told, 0.8).named(f"{method}: "))
    return _of_denoisers(found, all_of(parts), ("jt", "as"), "methods")


def _steps(found: Found, method: str) -> pd.DataFrame:
    table = found.table("figures/relaxation_steps")
    rows = table[(table["input"] == "displaced") & (table["method"] == method)]
    if rows.empty:
        raise AbsentError(f"{found.name}: no predicted steps of {method}")
    return rows


def fewer_outliers(found: Found) -> Finding:
    """Whether JT has fewer outliers of the line than the separate time network, by molecule."""
    rows = {method: _steps(found, method) for method in ("jt", "as")}
    far = {m: outliers(r["rmsd_before_ang"], r["first_step"]) for m, r in rows.items()}
    each = pd.DataFrame({m: far[m].astype(float).groupby(rows[m]["id"]).mean() for m in rows})
    found_ = paired(each, "jt", "as")
    words = ", ".join(f"{m.upper()} {int(flags.sum())} of {len(flags)}" for m, flags in far.items())
    return Finding(words, found_.n, found_.verdict, found_.why)


# --- RMSD ratios and failures (4) ---------------------------------------------------------------------------


def best(found: Found) -> Finding:
    """Whether every sampler's ratio is the lowest, against MMFF94, MLFF and GFN2-xTB, on equal terms."""
    table, ending = _on_equal_terms(found)
    ours, others = [f"{sampler}{ending}" for sampler in SAMPLERS], ("mmff94-ob", "mlff", "gfn2")
    each = _with_mmff94(found, [*ours, "mlff", "gfn2"], "judged", table)
    finding = _lower(each, list(product(ours, others)), "behind")
    medians = ", ".join(f"{name} {each[name].median():.2f}" for name in (*ours, *others))
    finding = finding.named(f"ratios {medians}")
    finding = unless(poor_force_field(found) if finding.verdict == "same" else "", finding)
    return _of_denoisers(found, finding, ours, table)


def _with_mmff94(found: Found, methods: Sequence[str], column: str, table: str) -> pd.DataFrame:
    parts = [_by_molecule(found, methods, column, table), _by_molecule(found, ("mmff94-ob",), column)]
    return pd.concat(parts, axis=1).dropna()


def _lower(each: pd.DataFrame, pairs: Sequence[tuple[str, str]], worse: str) -> Finding:
    """Whether in all pairs of columns the first is the lower one; `ours` is left to the caller."""
    parts = [paired(each, *pair) for pair in pairs]
    against = [
        f"{own} {worse} {other}"
        for (own, other), part in zip(pairs, parts, strict=True)
        if part.verdict == "opposite"
    ]
    open_ = sum(part.verdict == "undecided" for part in parts)
    why = "; ".join([*against, f"{open_} of {len(parts)} pairs undecided (Wilcoxon)"])
    return Finding("", len(each), all_of(parts).verdict, why)


def itp_hardly_fails(found: Found) -> Finding:
    """Whether ITP fails in less than a tenth."""
    table, ending = _on_equal_terms(found)
    finding = less(_failing(found, f"itp{ending}", table=table), 10, " %").named(f"itp{ending}: ")
    return _of_denoisers(found, finding, [f"itp{ending}"], table)


def rmsd_after(found: Found) -> Finding:
    """Median RMSDs after JT and AS beside the paper's."""
    table, ending = _on_equal_terms(found)
    parts = []
    for method in ("jt", "as"):
        rows = _rows(found, f"{method}{ending}", table=table)
        part = number(median_of(rows["rmsd_after_ang"], rows["id"]), PAPER_AFTER_ANG[method], unit=" Å")
        parts.append(part.named(f"{method}{ending}: "))
    return unless(other_molecules(found), all_of(parts))


def mmff94_fails_most(found: Found) -> Finding:
    """Whether MMFF94 fails more often than every other method, by molecule."""
    table, ending = _on_equal_terms(found)
    samplers = [f"{sampler}{ending}" for sampler in SAMPLERS]
    others = ["mlff", "gfn2", *samplers]
    each = _with_mmff94(found, others, "failed", table)
    finding = _lower(each, [(other, "mmff94-ob") for other in others], "fails more than")
    next_ = str(each[others].mean().idxmax())
    words = f"{_failing(found, 'mmff94-ob').text(' %')}, next {next_}: {100 * each[next_].mean():.3g} %"
    finding = finding.named(words)
    objection = poor_force_field(found) if finding.verdict == "opposite" else ""
    return _of_denoisers(found, unless(objection, finding), samplers, table)


def mlff_and_gfn2_alike(found: Found) -> Finding:
    """Failures above 20 % and a ratio of 0.4, of both."""
    parts = []
    for method in ("mlff", "gfn2"):
        rows = _rows(found, method)
        failing = more(_failing(found, method), 20, " %")
        parts += [failing.named(f"{method}: "), number(median_of(rows["judged"], rows["id"]), 0.4)]
    return unless(poor_force_field(found) or other_molecules(found), all_of(parts))


def failures_rise(found: Found) -> Finding:
    """Whether every sampler fails more often on diffused inputs, by molecule."""
    table, ending = _on_equal_terms(found)
    parts = []
    for method in [f"{sampler}{ending}" for sampler in SAMPLERS]:
        given = ("displaced", "diffused")
        means = [_by_molecule(found, (method,), "failed", table, each)[method] for each in given]
        difference = (means[1] - means[0]).dropna()
        part = more(mean_of(100 * difference, difference.index), 0.0, " points")
        parts.append(part.named(f"{method}: "))
    return _of_denoisers(found, all_of(parts), [f"{sampler}{ending}" for sampler in SAMPLERS], table)


def mmff94_returns_input(found: Found) -> Finding:
    """Whether MMFF94 gives most diffused inputs back: no result, or a ratio within 2 % of 1."""
    rows = _rows(found, "mmff94-ob", "diffused")
    ratio = rows["ratio"].astype(float)
    return more(share(ratio.isna() | ((ratio - 1).abs() < 0.02), rows["id"]), 50, " %")


def gfn2_doubles(found: Found) -> Finding:
    """Whether GFN2-xTB's ratio and failures of diffused inputs are over twice those of displaced ones."""
    parts = []
    for column, words in (("judged", "ratio"), ("failed", "failures")):
        of = {given: _by_molecule(found, ("gfn2",), column, given=given)["gfn2"] for given in _INPUTS}
        each = pd.DataFrame(of).dropna()
        part = more(mean_of(each["diffused"] - 2 * each["displaced"], each.index), 0.0)
        shown = f"{words} {each['displaced'].mean():.2f} → {each['diffused'].mean():.2f}"
        why = part.why and "of diffused less twice displaced: " + part.why
        parts.append(Finding(shown, part.n, part.verdict, why))
    return all_of(parts)


_INPUTS = ("displaced", "diffused")


def mlff_fails_mostly(found: Found) -> Finding:
    """The MLFF's failures on diffused inputs."""
    objection = poor_force_field(found) or other_molecules(found)
    return unless(objection, number(_failing(found, "mlff", "diffused"), 90, unit=" %"))


def drawn(found: Found) -> Finding:
    """Drawings, where there are some: no criterion judges them."""
    for given in _INPUTS:
        found.table(f"figures/relaxation_drawings_{given}")
    return Finding("drawn", None, "undecided", "a drawing is judged by eye")


# --- Energies (6), retrained networks (10), another backbone (11) -------------------------------------------


def _energies(found: Found, method: str) -> pd.DataFrame:
    table = found.table("figures/relaxation_energies")
    rows = table[(table["method"] == method) & table["energy_kcal_mol"].notna()]
    if rows.empty:
        raise AbsentError(f"{found.name} has no energies of {method}")
    return rows


def _mostly(found: Found, methods: Sequence[str], limit: float) -> Finding:
    parts = []
    for method in methods:
        rows = _energies(found, method)
        part = more(share(rows["energy_kcal_mol"] < limit, rows["id"]), 50, " %")
        parts.append(part.named(f"{method}: "))
    return all_of(parts)


def below_reference(found: Found) -> Finding:
    """Whether most ends of the MLFF and of GFN2-xTB lie below the reference minimum."""
    return unless(poor_force_field(found), _mostly(found, ("mlff", "gfn2"), 0.0))


def below_one(found: Found) -> Finding:
    """Whether most ends of JT and ITP lie less than 1 kcal/mol above it."""
    methods = ("jt", "itp")
    return _of_denoisers(found, _mostly(found, methods, 1.0), methods, "methods")


def _energy_order(found: Found, lower: str, higher: str) -> Finding:
    each = {m: _energies(found, m).groupby("id")["energy_kcal_mol"].mean() for m in (lower, higher)}
    return paired(pd.DataFrame(each), lower, higher, f"{lower}, {higher}: ")


def as_ends_higher(found: Found) -> Finding:
    """Whether AS ends higher than JT, by molecule."""
    return _of_denoisers(found, _energy_order(found, "jt", "as"), ("jt", "as"), "methods")


def mmff94_ends_higher(found: Found) -> Finding:
    """Whether MMFF94 ends higher than JT, by molecule."""
    return _of_denoisers(found, _energy_order(found, "jt", "mmff94-ob"), ("jt",), "methods")


def retrained_lower(found: Found) -> Finding:
    """Whether JT, retrained on the MLFF's minima, ends lower, by molecule."""
    objection = fewer_minima(found) or poor_force_field(found)
    return unless(objection, _energy_order(found, "jt-mlff", "jt"))


def retrained_farther(found: Found) -> Finding:
    """Whether it ends farther from the reference, by molecule."""
    table = _by_molecule(found, ("jt", "jt-mlff"), "rmsd_after_ang", "retrained")
    objection = fewer_minima(found) or poor_force_field(found)
    return unless(objection, paired(table, "jt", "jt-mlff", "JT, retrained: "))


def so3_ahead(found: Found) -> Finding:
    """Whether JT's ratio is lower than the MLFF's where both have SO3net."""
    finding = paired(_by_molecule(found, ("jt-so3", "mlff-so3"), "judged", "so3"), "jt-so3", "mlff-so3")
    return _of_denoisers(found, finding.named("ratios of JT, MLFF: "), ("jt-so3",), "methods")


# --- Bins (8) -----------------------------------------------------------------------------------------------


def nearest(found: Found) -> Finding:
    """Whether AS and JT end nearer than ITP in all bins of the RMSD before: signs over bins."""
    table = found.table("figures/relaxation_bins")
    rows = table[table["input"] == "displaced"]
    wide = rows.pivot(index="bin", columns="method", values="rmsd_after_ang")
    missing = set(SAMPLERS) - set(wide.columns)
    if missing:
        raise AbsentError(f"{found.name} has no bins of {', '.join(sorted(missing))}")
    wide = wide[list(SAMPLERS)].dropna()
    wins = int((wide[["as", "jt"]].max(axis=1) < wide["itp"]).sum())
    return signs(wins, len(wide), f"AS and JT nearer than ITP in {wins} of {len(wide)} bins", "bins")


def least_spread(found: Found) -> Finding:
    """Whether AS's ends spread less over noise than ITP's and JT's, by molecule."""
    everything = found.table("relaxation/methods")
    rows = everything[(everything["input"] == "displaced") & everything["ratio"].notna()]
    each = {}
    for sampler in SAMPLERS:
        again = rows[rows["method"].str.fullmatch(rf"{sampler}(-seed\d+)?")]
        spread = again.groupby(["id", "conformer"])["rmsd_after_ang"].std().dropna()
        if spread.empty:
            raise AbsentError(f"{found.name}: {sampler} was not repeated with other seeds")
        each[sampler] = spread.groupby("id").mean()
    table = pd.DataFrame(each).dropna()
    finding = _lower(table, [("as", "itp"), ("as", "jt")], "spreads more than")
    words = ", ".join(f"{sampler} {table[sampler].median():.2g}" for sampler in SAMPLERS)
    return finding.named(f"{words} Å")


def itp_poor_at_large(found: Found) -> Finding:
    """Whether ITP ends farther than AS and JT, by each molecule's most displaced input."""
    rows = {m: _rows(found, m).sort_values("rmsd_before_ang").groupby("id").last() for m in SAMPLERS}
    each = pd.DataFrame({m: r["rmsd_after_ang"] for m, r in rows.items()}).dropna()
    finding = _lower(each, [("as", "itp"), ("jt", "itp")], "behind")
    words = ", ".join(f"{m} {each[m].median():.2g}" for m in SAMPLERS)
    return finding.named(f"{words} Å")


# --- Data ---------------------------------------------------------------------------------------------------


def hundred_times_fewer(found: Found) -> Finding:
    """Whether JT is ahead of an MLFF that saw a hundred times more structures."""
    table, ending = _on_equal_terms(found)
    each = _by_molecule(found, (f"jt{ending}", "mlff"), "judged", table)
    lead = paired(each, f"jt{ending}", "mlff", f"ratios of jt{ending}, mlff: ")
    return fewer_data(found, unless(poor_force_field(found), lead))
