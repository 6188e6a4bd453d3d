"""Rows R40 to R73: Kahouli et al., MLST 2024, 5, 035038 (paper M)."""

import math
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.stats import binomtest

from prerelax.comparison.pairs import KCAL_MOL
from prerelax.comparison.statistics import FEWEST
from prerelax.ledger.criteria import (
    TOO_FEW,
    all_of,
    fewer,
    first,
    less,
    mean_of,
    median_number,
    more,
    number,
    paired,
    share,
    text,
    unless,
)
from prerelax.ledger.row import AbsentError, Finding, Found, Row, Verdict
from prerelax.studies.relaxation.table import judged

QM7X, QM9 = ("morered-qm7x", "morered-mini"), ("morered-qm9", "morered-qm9-mini")
NO_NUMBERS = "the paper's numbers are not in its text"
MLFF_ENERGY_ERROR, MLFF_FORCE_ERROR = 0.376, 0.519
"""of the paper's MLFF on molecules set aside, kcal/mol and kcal/mol/Å"""


def _rows(found: Found, method: str, given: str = "displaced", table: str = "methods") -> pd.DataFrame:
    """Inputs of a method that have a minimum, failures (no result, or farther than before) as ratio 1."""
    everything = found.table(f"relaxation/{table}")
    rows = everything[(everything["input"] == given) & (everything["method"] == method)]
    rows = rows[rows["rmsd_before_ang"].notna()].copy()
    if rows.empty:
        raise AbsentError(f"{found.name} has no {method} of {given} inputs")
    rows["failed"] = rows["failed"].astype(float)
    rows["judged"] = judged(rows)
    return rows


def _failing(found: Found, method: str, given: str = "displaced") -> tuple[float, float, float, int]:
    rows = _rows(found, method, given)
    return share(rows["failed"], rows["id"])


def _by_molecule(found: Found, methods: tuple[str, ...], column: str, table: str = "methods") -> pd.DataFrame:
    """[molecules, methods] means of a column over each molecule's inputs."""
    return pd.DataFrame(
        {m: _rows(found, m, table=table).groupby("id")[column].mean() for m in methods}
    ).dropna()


def _step_by_rmsd(found: Found) -> Finding:
    table = found.table("figures/relaxation_steps_numbers")
    parts = []
    for method in ("jt", "as"):
        rows = table[(table["input"] == "displaced") & (table["method"] == method)]
        if rows.empty:
            raise AbsentError(f"{found.name}: no predicted steps of {method}")
        r, n = float(rows["pearson_r"].iloc[0]), _molecules(found, method)
        if n < FEWEST or not math.isfinite(r):
            parts.append(Finding(f"{method}: r = {r:.2f}", n, "undecided", TOO_FEW))
            continue
        half = 1.96 / math.sqrt(n - 3)  # Fisher's z, as many points as molecules
        low, high = math.tanh(math.atanh(min(r, 0.9999)) - half), math.tanh(math.atanh(min(r, 0.9999)) + half)
        part = more(r, low, high, 0.8, n)
        parts.append(part.named(f"{method}: "))
    return all_of(parts)


def _molecules(found: Found, method: str) -> int:
    return int(_rows(found, method)["id"].nunique())


def _outliers(found: Found) -> Finding:
    table = found.table("figures/relaxation_steps_numbers")
    rows = table[table["input"] == "displaced"]
    counts = {}
    for method in ("jt", "as"):
        percent = first(rows.loc[rows["method"] == method, "outliers_percent"])
        if not np.isfinite(percent):
            raise AbsentError(f"{found.name}: no predicted steps of {method}")
        n = int(first(rows.loc[rows["method"] == method, "n"]))
        counts[method] = (round(percent * n / 100), n)
    words = ", ".join(f"{method.upper()} {k} of {n}" for method, (k, n) in counts.items())
    return fewer(*counts["jt"], *counts["as"], words)


def _schedules(found: Found) -> Finding:
    table = found.table("figures/schedules_ends")
    wide = table.pivot_table(index=["id", "start"], columns="schedule", values="rmsd_after_ang")
    return paired(wide.groupby("id").mean(), "adaptive", "fixed", "adaptive, fixed: ")


def _best(found: Found) -> Finding:
    """On equal terms: by denoisers that know no bonds and began with no weights, as the MLFF does.

    Where a campaign has only others, `same` proves nothing; `opposite` does all the more.
    """
    try:
        finding = _ahead(found, "blind", "-blind")
    except AbsentError:
        told = _told_more(found)
        finding = _ahead(found, "methods", "")
        return unless(told if finding.verdict == "same" else "", finding)
    return finding


def _ahead(found: Found, table: str, variant: str) -> Finding:
    ours = [f"{sampler}{variant}" for sampler in ("itp", "as", "jt")]
    parts_of = [_by_molecule(found, (*ours, "mlff", "gfn2"), "judged", table)]
    parts_of.append(_by_molecule(found, ("mmff94-ob",), "judged"))
    each = pd.concat(parts_of, axis=1).dropna()
    others = ("mmff94-ob", "mlff", "gfn2")
    pairs = list(product(ours, others))
    parts = [paired(each, own, other) for own, other in pairs]
    medians = ", ".join(f"{name} {each[name].median():.2f}" for name in (*ours, *others))
    whole = all_of(parts)
    worse = [
        f"{own} behind {other}"
        for (own, other), part in zip(pairs, parts, strict=True)
        if part.verdict == "opposite"
    ]
    open_ = sum(part.verdict == "undecided" for part in parts)
    why = "; ".join([*worse, f"{open_} of {len(parts)} pairs undecided (Wilcoxon)"])
    finding = Finding(f"ratios {medians}", len(each), whole.verdict, why)
    return unless(_poor_force_field(found) if whole.verdict == "same" else "", finding)


def _told_more(found: Found) -> str:
    """What JT was told and the MLFF was not; empty where both know the same."""
    try:
        network, training = (_config(found, "jt")[key] for key in ("network", "training"))
    except AbsentError:
        return ""
    told = {"the bonds": network.get("bond_graph"), "other weights": training["config"].get("weights")}
    known = [words for words, value in told.items() if value]
    return f"JT was given {' and '.join(known)}, the MLFF was not" if known else ""


def _poor_force_field(found: Found) -> str:
    """Why the MLFF proves nothing of the paper's; empty where its error is at most twice as large."""
    try:
        error = _least_error(found, "validation/force_mae_ev_ang")
    except AbsentError:
        return ""
    return (
        f"its MLFF's force error is {error / MLFF_FORCE_ERROR:.1f} times the paper's"
        if error > 2 * MLFF_FORCE_ERROR
        else ""
    )


def _hardly_fails(found: Found) -> Finding:
    percent, low, high, n = _failing(found, "itp")
    return less(percent, low, high, 10, n, " %")


def _after(found: Found) -> Finding:
    parts = []
    for method, paper in (("jt", 0.06), ("as", 0.05)):
        rows = _rows(found, method)
        part = median_number(rows["rmsd_after_ang"], rows["id"], paper, unit=" Å")
        parts.append(part.named(f"{method}: "))
    return all_of(parts)


def _worst(found: Found) -> Finding:
    percent, low, high, n = _failing(found, "mmff94-ob")
    others = {m: _failing(found, m)[0] for m in ("mlff", "gfn2", "itp", "as", "jt")}
    finding = more(percent, low, high, 40, n, " %")
    if percent < max(others.values()):
        return Finding(
            finding.ours, n, "opposite", f"{max(others, key=lambda m: others[m])} fails more often"
        )
    return finding


def _alike(found: Found) -> Finding:
    parts = []
    for method in ("mlff", "gfn2"):
        percent, low, high, n = _failing(found, method)
        rows = _rows(found, method)
        ratio = median_number(rows["judged"], rows["id"], 0.4)
        failing = more(percent, low, high, 20, n, " %")
        parts += [failing.named(f"{method}: "), ratio]
    return unless(_poor_force_field(found), all_of(parts))


def _failures_rise(found: Found) -> Finding:
    parts = []
    for method in ("itp", "as", "jt"):
        each = [
            _rows(found, method, given).groupby("id")["failed"].mean() for given in ("displaced", "diffused")
        ]
        difference = (each[1] - each[0]).dropna()
        mean, low, high, n = mean_of(100 * difference, difference.index)
        part = more(mean, low, high, 0.0, n, " points")
        parts.append(part.named(f"{method}: "))
    return all_of(parts)


def _returns_input(found: Found) -> Finding:
    rows = _rows(found, "mmff94-ob", "diffused")
    ratio = rows["ratio"].astype(float)
    percent, low, high, n = share(ratio.isna() | ((ratio - 1).abs() < 0.02), rows["id"])
    return more(percent, low, high, 50, n, " %")


def _doubles(found: Found) -> Finding:
    displaced, diffused = (_rows(found, "gfn2", given) for given in ("displaced", "diffused"))
    parts = []
    for column, words in (("judged", "ratio"), ("failed", "failures")):
        each = pd.DataFrame(
            {"a": displaced.groupby("id")[column].mean(), "b": diffused.groupby("id")[column].mean()}
        )
        each = each.dropna()
        mean, low, high, n = mean_of(each["b"] - 2 * each["a"], each.index)
        part = more(mean, low, high, 0.0, n)
        shown = f"{words} {each['a'].mean():.2f} → {each['b'].mean():.2f}"
        parts.append(
            Finding(shown, n, part.verdict, part.why and "of diffused less twice displaced: " + part.why)
        )
    return all_of(parts)


def _fails_mostly(found: Found) -> Finding:
    percent, low, high, n = _failing(found, "mlff", "diffused")
    return unless(_poor_force_field(found), number(percent, low, high, 90, n, unit=" %"))


def _drawn(found: Found) -> Finding:
    for given in ("displaced", "diffused"):
        found.table(f"figures/relaxation_drawings_{given}")
    return Finding("drawn", None, "undecided", "a drawing is judged by eye")


# --- Energies -----------------------------------------------------------------------------------------------


def _energies(found: Found, method: str) -> pd.DataFrame:
    table = found.table("figures/relaxation_energies")
    rows = table[(table["method"] == method) & table["energy_kcal_mol"].notna()]
    if rows.empty:
        raise AbsentError(f"{found.name} has no energies of {method}")
    return rows


def _mostly(found: Found, methods: tuple[str, ...], limit: float) -> Finding:
    parts = []
    for method in methods:
        rows = _energies(found, method)
        percent, low, high, n = share(rows["energy_kcal_mol"] < limit, rows["id"])
        part = more(percent, low, high, 50, n, " %")
        parts.append(part.named(f"{method}: "))
    return all_of(parts)


def _energy_order(found: Found, lower: str, higher: str) -> Finding:
    each = {m: _energies(found, m).groupby("id")["energy_kcal_mol"].mean() for m in (lower, higher)}
    return paired(pd.DataFrame(each), lower, higher, f"{lower}, {higher}: ")


def _retrained_farther(found: Found) -> Finding:
    table = _by_molecule(found, ("jt", "jt-mlff"), "rmsd_after_ang", "retrained")
    return unless(_poor_force_field(found), paired(table, "jt", "jt-mlff", "JT, retrained: "))


# --- Steps, bins --------------------------------------------------------------------------------------------


def _shell(found: Found) -> Finding:
    rows = {
        key: float(found.quantity("figures/shells_numbers", words)["ours"]) for key, words in _SHELL.items()
    }
    n = int(found.quantity("figures/shells_numbers", "molecules")["ours"])
    thin, told = rows["high"] - rows["low"] < 0.6, rows["r"] > 0.9
    words = f"radius {rows['low']:.2f} to {rows['high']:.2f} σ√d, r = {rows['r']:.3f}"
    return Finding(
        words,
        n,
        "same" if thin and told else "opposite",
        "same: within ± 30 %, r > 0.9; CIFAR-10 is not shown",
    )


_SHELL = {"low": "the same, 2.5 %", "high": "the same, 97.5 %", "r": "Pearson r of predicted"}


def _bins(found: Found) -> pd.DataFrame:
    table = found.table("figures/relaxation_bins")
    return table[table["input"] == "displaced"]


def _nearest(found: Found) -> Finding:
    wide = _bins(found).pivot(index="bin", columns="method", values="rmsd_after_ang")
    missing = {"itp", "as", "jt"} - set(wide.columns)
    if missing:
        raise AbsentError(f"{found.name} has no bins of {', '.join(sorted(missing))}")
    wins = int((wide[["as", "jt"]].max(axis=1) < wide["itp"]).sum())
    return _sign(wins, len(wide), f"AS and JT nearer than ITP in {wins} of {len(wide)} bins")


def _spread(found: Found) -> Finding:
    wide = _bins(found).pivot(index="bin", columns="method", values="spread_ang")
    if not {"itp", "as", "jt"} <= set(wide.columns) or wide[["itp", "as", "jt"]].isna().any(axis=None):
        raise AbsentError(f"{found.name}: nothing was repeated with other seeds")
    wins = int((wide["as"] < wide[["itp", "jt"]].min(axis=1)).sum())
    return _sign(wins, len(wide), f"AS spreads least in {wins} of {len(wide)} bins")


def _sign(wins: int, of: int, words: str) -> Finding:
    p = float(binomtest(wins, of, 0.5).pvalue)
    if p >= 0.05:
        return Finding(words, of, "undecided", f"p = {p:.2g} (signs over bins)")
    return Finding(words, of, "same" if wins > of / 2 else "opposite", f"p = {p:.2g} (signs over bins)")


def _poor_at_large(found: Found) -> Finding:
    parts = []
    for other in ("as", "jt"):
        rows = {m: _rows(found, m) for m in ("itp", other)}
        edge = rows["itp"]["rmsd_before_ang"].quantile(7 / 8)
        each = {
            m: r[r["rmsd_before_ang"] >= edge].groupby("id")["rmsd_after_ang"].mean() for m, r in rows.items()
        }
        parts.append(paired(pd.DataFrame(each), other, "itp", f"{other}, ITP: "))
    return all_of(parts)


def _so3(found: Found) -> Finding:
    table = _by_molecule(found, ("jt-so3", "mlff-so3"), "judged", "so3")
    return paired(table, "jt-so3", "mlff-so3", "JT, MLFF: ")


# --- Generation ---------------------------------------------------------------------------------------------


def _valid(found: Found, run: str, limit: int = 0, quantity: str = "V") -> pd.Series:
    table = found.table("figures/generation_limits_qm9")
    rows = table[(table["run"] == run) & (table["limit"] == limit) & (table["quantity"] == quantity)]
    rows = rows[rows["validity_by"] == "table"]
    if rows.empty:
        raise AbsentError(f"{found.name} has no run {run}")
    return rows.iloc[0]


def _adaptive_wins(found: Found) -> Finding:
    own = _valid(found, "adaptive")
    try:
        other, name = _valid(found, "ddpm"), "DDPM"
    except AbsentError:
        other, name = _valid(found, "fixed"), "the same network's fixed schedule"
    n = int(min(own["n"], other["n"]))
    shown = [text(each["percent"], each["ci_low"], each["ci_high"]) for each in (own, other)]
    words = f"{' against '.join(shown)} %, {name}"
    verdict: Verdict = "undecided"
    if own["ci_low"] > other["ci_high"]:
        verdict = "same"
    elif own["ci_high"] < other["ci_low"]:
        verdict = "opposite"
    objection = f"its network makes {own['percent']:.0f} % valid molecules" if own["percent"] < 50 else ""
    if not objection and name != "DDPM":
        objection = "without a DDPM network that is told its step"
    return unless(
        objection,
        Finding(words, n, verdict, "intervals apart" if verdict != "undecided" else "intervals overlap"),
    )


def _flattens(found: Found) -> Finding:
    table = found.table("figures/generation_limits_qm9")
    limits = sorted(x for x in table["limit"].unique() if x > 0)
    if len(limits) < 3:
        raise AbsentError(f"{found.name}: fewer than three limits")
    last, before = (_valid(found, "adaptive", int(limit)) for limit in (limits[-1], limits[-2]))
    words = f"{before['percent']:.1f} → {last['percent']:.1f} % at {limits[-2]:.0f} → {limits[-1]:.0f}"
    rises = last["ci_low"] > before["percent"]
    return Finding(
        words,
        int(last["n"]),
        "opposite" if rises else "same",
        "opposite: the last step lies outside the interval",
    )


def _novelty_costs_most(found: Found) -> Finding:
    v, vu, vun = (float(_valid(found, "adaptive", 0, q)["percent"]) for q in ("V", "V+U", "V+U+N"))
    n = int(_valid(found, "adaptive")["n"])
    finding = Finding(f"{v:.1f}, {vu:.1f}, {vun:.1f} %", n, "same" if v - vu < vu - vun else "opposite")
    return unless(f"its network makes {v:.0f} % valid molecules" if v < 50 else "", finding)


def _pictures(found: Found) -> Finding:
    found.table("figures/generated_qm9_adaptive")
    return Finding("drawn", None, "undecided", "a drawing is judged by eye")


# --- Trainings ----------------------------------------------------------------------------------------------


def _least_error(found: Found, column: str) -> float:
    """The smallest validation error of the campaign's MLFF, kcal/mol (per Å). Raises AbsentError."""
    logs = sorted((found.folder / "training/mlff").glob("logs/*/metrics.csv"))
    if not logs:
        raise AbsentError(f"{found.name} has no logs of training/mlff")
    table = pd.concat([pd.read_csv(path) for path in logs])
    if column not in table:
        raise AbsentError(f"{found.name}: the logs of mlff have no {column}")
    least: float = table[column].min() / KCAL_MOL
    return least


def _mlff_errors(found: Found) -> Finding:
    parts = []
    for column, paper, unit in (
        ("validation/energy_mae_ev", MLFF_ENERGY_ERROR, " kcal/mol"),
        ("validation/force_mae_ev_ang", MLFF_FORCE_ERROR, " kcal/mol/Å"),
    ):
        value = _least_error(found, column)
        verdict: Verdict = "same" if value < 1.2 * paper else "opposite"
        parts.append(Finding(f"{value:.3g}{unit}", None, verdict, "same: within a fifth"))
    return all_of(parts)


def _average_ahead(found: Found) -> Finding:
    table = found.table("figures/training_curves")
    rows = table[table["model"] == "jt"]
    if rows.empty:
        raise AbsentError(f"{found.name} has no curve of jt")
    early = rows.sort_values("step").head(max(8, len(rows) // 2))
    wins = int((early["averaged_loss"] < early["current_loss"]).sum())
    finding = _sign(wins, len(early), f"the average is ahead in {wins} of {len(early)} validations")
    return Finding(finding.ours, finding.n, finding.verdict, finding.why.replace("bins", "validations"))


def _config(found: Found, name: str) -> dict[str, Any]:
    """What a model that the campaign trained says of itself. Raises AbsentError where it says nothing."""
    try:
        read = yaml.safe_load((found.folder / f"training/{name}/model/config.yaml").read_text())
        return {"network": read["network"], "training": read["training"]}
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise AbsentError(f"{found.name}: training/{name}/model does not say what it saw") from error


def _fewer_data(found: Found) -> Finding:
    counts, begun = {}, {}
    for name in ("jt", "mlff"):
        training = _config(found, name)["training"]
        counts[name], begun[name] = int(training["n_molecules"]), training["config"].get("weights")
    times = counts["mlff"] / counts["jt"]
    words = f"{counts['jt']} structures against {counts['mlff']}, {times:.1f} times"
    if begun["jt"]:
        return Finding(words, None, "opposite", f"JT began with the weights of {begun['jt']}, which saw more")
    return Finding(words, None, "same" if times >= 50 else "opposite", "same: 50 times or more")


def _measured(found: Found, name: str) -> Finding:
    found.table(f"figures/{name}_numbers")
    return Finding("measured", None, "undecided", NO_NUMBERS)


ROWS = (
    Row("R40", "M 3a", "the predicted step is proportional to the RMSD", "yes", QM7X, _step_by_rmsd),
    Row("R41", "M 3a", "JT has fewer outliers", "yes", QM7X, _outliers),
    Row("R42", "M 3b, 13", "the adaptive schedule ends closer", "yes", QM9, _schedules),
    Row("R43", "M 4a", "MoreRed is best, by medians with failures as ratio 1", "yes", QM7X, _best),
    Row("R44", "M 4a", "ITP almost never fails", "almost 0 %", QM7X, _hardly_fails),
    Row("R45", "M 4a", "median RMSD after: JT, AS", "0.06, 0.05 Å", QM7X, _after),
    Row("R46", "M 4a", "MMFF94 fails most", "> 40 %", QM7X, _worst),
    Row("R47", "M 4a", "MLFF and GFN2-xTB: failures, ratio", "> 20 %, ~0.4", QM7X, _alike),
    Row("R48", "M 4b", "diffused inputs: MoreRed's failures rise", "yes", QM7X, _failures_rise),
    Row("R49", "M 4b", "diffused inputs: MMFF94 mostly returns its input", "mostly", QM7X, _returns_input),
    Row(
        "R50",
        "M 4b",
        "diffused inputs: GFN2-xTB's ratio and failures more than double",
        "> 2 ×",
        QM7X,
        _doubles,
    ),
    Row("R51", "M 4b", "diffused inputs: the MLFF fails", "~90 %", QM7X, _fails_mostly),
    Row("R52", "M 5, 9", "molecules before and after", "drawings", QM7X, _drawn),
    Row(
        "R53",
        "M 6",
        "MLFF and GFN2-xTB end below the reference",
        "mostly",
        QM7X,
        lambda f: unless(_poor_force_field(f), _mostly(f, ("mlff", "gfn2"), 0.0)),
    ),
    Row(
        "R54",
        "M 6",
        "JT and ITP end below 1 kcal/mol",
        "mostly",
        QM7X,
        lambda f: _mostly(f, ("jt", "itp"), 1.0),
    ),
    Row("R55", "M 6", "AS ends higher than JT", "yes", QM7X, lambda f: _energy_order(f, "jt", "as")),
    Row(
        "R56",
        "M 6",
        "MMFF94 ends far higher than JT",
        "yes",
        QM7X,
        lambda f: _energy_order(f, "jt", "mmff94-ob"),
    ),
    Row(
        "R57",
        "M 6",
        "retrained on the MLFF's minima, energies are lower",
        "yes",
        QM7X,
        lambda f: unless(_poor_force_field(f), _energy_order(f, "jt-mlff", "jt")),
    ),
    Row("R58", "M 10", "and RMSDs higher", "yes", QM7X, _retrained_farther),
    Row("R59", "M 7", "noise lies on a shell, from which the step is told", "yes", QM9, _shell),
    Row("R60", "M 8a", "AS and JT end nearer than ITP at every RMSD", "yes", QM7X, _nearest),
    Row("R61", "M 8b", "AS has the least spread over noise", "yes", QM7X, _spread),
    Row("R62", "M 8c", "ITP is poor at large RMSD", "yes", QM7X, _poor_at_large),
    Row("R63", "M 11", "with SO3net MoreRed stays ahead of the MLFF", "yes", QM7X, _so3),
    Row("R64", "M table 1", "valid molecules: adaptive, DDPM", "89.3, 78.2 %", QM9, _adaptive_wins),
    Row(
        "R65", "M table 1", "large networks", "94.7, 86.6 %", needs="their sizes are not in the paper's text"
    ),
    Row("R66", "M 12 right", "validity flattens with the limit on iterations", "yes", QM9, _flattens),
    Row("R67", "M 12 left", "novelty costs more than uniqueness", "yes", QM9, _novelty_costs_most),
    Row("R68", "M 17–18", "pictures of generated molecules", "drawings", QM9, _pictures),
    Row("R69", "M, methods", "errors of the MLFF", "0.376 kcal/mol, 0.519 kcal/mol/Å", QM7X, _mlff_errors),
    Row("R70", "M 16", "averaged weights are ahead in the beginning", "yes", QM7X, _average_ahead),
    Row(
        "R71",
        "M, D",
        "seconds per relaxation and step",
        "–",
        QM7X,
        lambda f: _measured(f, "relaxation_seconds"),
    ),
    Row("R72", "M, E", "error and time against size", "–", QM7X, lambda f: _measured(f, "relaxation_sizes")),
    Row(
        "R73", "M, text", "MoreRed needs 100 times fewer structures than the MLFF", "100 ×", QM7X, _fewer_data
    ),
)
