"""What the trainings of a MoreRed campaign say: errors, data, averages, and what makes a verdict void."""

from typing import Any

import pandas as pd
import yaml

from prerelax.comparison.pairs import KCAL_MOL
from prerelax.ledger.criteria import signs, unless
from prerelax.ledger.row import AbsentError, Finding, Found, Verdict

QM7X = ("morered-qm7x", "morered-mini")
MLFF_ENERGY_ERROR, MLFF_FORCE_ERROR = 0.376, 0.519
"""of the paper's MLFF on molecules set aside, kcal/mol and kcal/mol/Å"""
FEWER_MINIMA = 1.2
"""Times fewer minima from which on a retrained network is not compared on equal terms."""


def other_molecules(found: Found) -> str:
    """Why numbers of QM7-X are not told here; empty where they are."""
    return "" if found.name == QM7X[0] else "other molecules and levels than QM7-X's"


def poor_force_field(found: Found) -> str:
    """Why the MLFF proves nothing of the paper's; empty where its error is at most twice as large."""
    try:
        error = _last_error(found, "validation/force_mae_ev_ang")
    except AbsentError:
        return ""
    return (
        f"its MLFF's force error is {error / MLFF_FORCE_ERROR:.1f} times the paper's"
        if error > 2 * MLFF_FORCE_ERROR
        else ""
    )


def told_more(found: Found) -> str:
    """What JT was told and the MLFF was not; empty where both know the same."""
    try:
        network, training = (_config(found, "jt")[key] for key in ("network", "training"))
    except AbsentError:
        return ""
    told = {"the bonds": network.get("bond_graph"), "other weights": training["config"].get("weights")}
    known = [words for words, value in told.items() if value]
    return f"JT was given {' and '.join(known)}, the MLFF was not" if known else ""


def fewer_minima(found: Found) -> str:
    """Why the retrained JT is not compared on equal terms; empty where it saw as many minima."""
    try:
        seen = {name: int(_config(found, name)["training"]["n_molecules"]) for name in ("jt", "jt-mlff")}
    except AbsentError:
        return ""
    unequal = max(seen.values()) > FEWER_MINIMA * min(seen.values())
    return f"JT saw {seen['jt']} minima, the retrained one {seen['jt-mlff']}" if unequal else ""


def _last_error(found: Found, column: str) -> float:
    """The campaign's MLFF's error at its last validation, that of the model it left, kcal/mol (per Å).

    Raises AbsentError, also while it is being trained.
    """
    folder = found.folder / "training/mlff"
    if not (folder / "model/weights.safetensors").is_file():
        raise AbsentError(f"{found.name} has not trained its MLFF to the end")
    logs = [path for path in sorted(folder.glob("logs/*/metrics.csv")) if path.stat().st_size]
    table = pd.concat([pd.read_csv(path) for path in logs]) if logs else pd.DataFrame()
    if column not in table:
        raise AbsentError(f"{found.name}: the logs of mlff have no {column}")
    validated = table.dropna(subset=[column]).sort_values("step", kind="stable")
    last: float = validated[column].iloc[-1] / KCAL_MOL
    return last


def mlff_errors(found: Found) -> Finding:
    """Both errors of the MLFF: within a fifth of the paper's."""
    values = [
        _last_error(found, column) for column in ("validation/energy_mae_ev", "validation/force_mae_ev_ang")
    ]
    words = f"{values[0]:.3g} kcal/mol; {values[1]:.3g} kcal/mol/Å"
    reached = values[0] < 1.2 * MLFF_ENERGY_ERROR and values[1] < 1.2 * MLFF_FORCE_ERROR
    objection = other_molecules(found)
    verdict: Verdict = "undecided" if objection else "same" if reached else "opposite"
    return Finding(words, None, verdict, objection or "same: within a fifth")


def average_ahead(found: Found) -> Finding:
    """Whether the averaged weights have the lower loss in the first half of JT's validations.

    Nothing decides: the validations of one training are no trials of their own.
    """
    table = found.table("figures/training_curves")
    rows = table[table["model"] == "jt"]
    if rows.empty:
        raise AbsentError(f"{found.name} has no curve of jt")
    early = rows.sort_values("step").head(max(8, len(rows) // 2))
    wins = int((early["averaged_loss"] < early["current_loss"]).sum())
    words = f"the average is ahead in {wins} of the first {len(early)} validations"
    return unless("one training", signs(wins, len(early), words, "validations"))


def _config(found: Found, name: str) -> dict[str, Any]:
    """What a model that the campaign trained says of itself. Raises AbsentError where it says nothing."""
    try:
        read = yaml.safe_load((found.folder / f"training/{name}/model/config.yaml").read_text())
        return {"network": read["network"], "training": read["training"]}
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise AbsentError(f"{found.name}: training/{name}/model does not say what it saw") from error


def fewer_data(found: Found, lead: Finding) -> Finding:
    """How many times fewer structures JT saw than the MLFF, and whether it is ahead all the same (`lead`).

    The JT that began with nothing speaks, where there is one.
    """
    mlff = _config(found, "mlff")["training"]
    try:
        jt = _config(found, "jt-blind")["training"]
    except AbsentError:
        jt = _config(found, "jt")["training"]
    counts = int(jt["n_molecules"]), int(mlff["n_molecules"])
    times = counts[1] / counts[0]
    words = f"{counts[0]} structures against {counts[1]}, {times:.1f} times; {lead.ours}"
    begun = jt["config"].get("weights")
    if begun:
        return Finding(words, lead.n, "undecided", f"JT began with the weights of {begun}, which saw more")
    if times < 50:
        return Finding(words, lead.n, "undecided", "a hundredth of the structures was not tried")
    return Finding(words, lead.n, lead.verdict, lead.why)
