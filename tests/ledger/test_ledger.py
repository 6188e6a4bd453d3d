"""Verdicts come from intervals and tests; tables are those that studies write."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tables import ROWS, of, written

from prerelax.errors import UserError
from prerelax.ledger import edm, morered
from prerelax.ledger.__main__ import main
from prerelax.ledger.criteria import (
    Estimate,
    all_of,
    less,
    mean_of,
    more,
    number,
    paired,
    quantile_interval,
    rising,
    share,
    unless,
)
from prerelax.ledger.page import findings_of, page
from prerelax.ledger.row import Finding, Found, Row, judged, results_of

NAN = math.nan


def test_every_row_of_the_audit_is_there_once_and_in_order() -> None:
    keys = [row.key for row in (*edm.ROWS, *morered.ROWS)]
    assert keys == [f"R{number}" for number in range(1, 74)]
    for row in ROWS.values():
        assert (row.judge is None) == bool(row.needs) and (row.judge is None or row.campaigns), row.key


def test_without_results_nothing_is_shown_and_it_is_said_why() -> None:
    text = page({})
    assert "**Of 73 rows 0 same, 0 opposite, 0 undecided, 73 not shown**, from no results" in text
    assert text.count("no results of edm-drugs or edm-drugs-mini") == 6


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (more(Estimate(5, 1, 9, 20), 0), "same"),
        (more(Estimate(-5, -9, -1, 20), 0), "opposite"),
        (more(Estimate(5, -1, 9, 20), 0), "undecided"),
        (more(Estimate(5, NAN, NAN, 3), 0), "undecided"),
        (less(Estimate(-5, -9, -1, 20), 0), "same"),
        (less(Estimate(5, 1, 9, 20), 0), "opposite"),
        (number(Estimate(12, 11, 17, 20), 40), "opposite"),
        (number(Estimate(33, 20, 45, 20), 40, 0), "same"),
        (number(Estimate(33, -5, 45, 20), 40, 0), "undecided"),
        (number(Estimate(33, NAN, NAN, 3), 40), "undecided"),
        (number(Estimate(33, 5, 45, 20), 40), "undecided"),
        (number(Estimate(33, 25, 95, 20), 40), "undecided"),
        (number(Estimate(1, -3, 5, 20), 0), "same"),
        (number(Estimate(1, -30, 5, 20), 0), "undecided"),
        (rising([1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 5, 8], ""), "same"),
        (rising([1, 2, 3, 4, 5, 6], [8, 5, 3, 2, 1, 0], ""), "opposite"),
        (rising([1, 2, 3], [0, 1, 2], ""), "undecided"),
        (unless("a poor network", more(Estimate(5, 1, 9, 20), 0)), "undecided"),
        (unless("", more(Estimate(5, 1, 9, 20), 0)), "same"),
    ],
)
def test_a_verdict_follows_from_an_interval_or_a_test(finding: Finding, verdict: str) -> None:
    assert finding.verdict == verdict and finding.why


def test_parts_of_a_claim_are_judged_together() -> None:
    same, open_, against = (Finding("a", n, v) for n, v in ((9, "same"), (8, "undecided"), (7, "opposite")))
    assert all_of([same, same]).verdict == "same"
    assert all_of([same, open_]).verdict == "undecided"
    whole = all_of([same, open_, against])
    assert (whole.verdict, whole.n, whole.ours) == ("opposite", 7, "a; a; a")


def test_pairs_are_tested_by_molecule() -> None:
    rng = np.random.default_rng(0)
    low = rng.normal(1.0, 0.1, 20)
    table = pd.DataFrame({"a": low, "b": low + 0.2 + 0.05 * rng.normal(size=20)})
    assert paired(table, "a", "b").verdict == "same"
    assert paired(table, "b", "a").verdict == "opposite"
    assert paired(table.head(5), "a", "b").verdict == "undecided"
    assert paired(table.assign(b=low), "a", "b").why == "no difference"
    molecules = np.repeat(np.arange(10), 3)
    percent, lowest, highest, n = share(np.tile([1.0, 0.0, 0.0], 10), molecules)
    assert n == 10 and percent == pytest.approx(100 / 3) and lowest < 15 and highest > 60, (
        "as ten, not thirty"
    )
    assert mean_of([1.0, 3.0] * 10, np.repeat(np.arange(10), 2))[3] == 10
    # Conover's interval for the median of twenty: between the 6th and the 15th.
    assert quantile_interval(range(1, 21), 0.5) == (6.0, 15.0)
    assert math.isnan(quantile_interval(range(7), 0.5)[0])


# --- Rows on tables as studies write them -------------------------------------------------------------------


def relaxations(ratios: dict[str, float], failing: dict[str, float], n: int = 40) -> pd.DataFrame:
    """`relaxation/methods.csv` of methods with given ratios, which differ a little between molecules."""
    rng = np.random.default_rng(1)
    rows = []
    for given in ("displaced", "diffused"):
        for molecule in range(n):
            for conformer in range(3):
                before = 0.05 + 0.2 * conformer + 0.001 * molecule
                for method, ratio in ratios.items():
                    fails = (molecule % 20) / 20 < failing.get(method, 0.0)
                    own = 1.2 if fails else ratio * (1 + 0.1 * rng.normal())
                    rows.append((given, method, molecule, conformer, before, own * before, own, fails))
    columns = ["input", "method", "id", "conformer", "rmsd_before_ang", "rmsd_after_ang", "ratio", "failed"]
    return pd.DataFrame(rows, columns=columns)


RATIOS = {"mmff94-ob": 0.6, "mlff": 0.4, "gfn2": 0.42, "itp": 0.3, "as": 0.1, "jt": 0.1}


@pytest.fixture
def qm7x(tmp_path: Path) -> Path:
    """Where the full campaign on QM7-X has its results."""
    return tmp_path / "morered-qm7x"


FAILING = {"mmff94-ob": 0.7, "mlff": 0.5, "gfn2": 0.5}


def test_morereds_relaxations_as_in_the_paper_and_not(qm7x: Path) -> None:
    written(qm7x, "relaxation/methods", relaxations(RATIOS, FAILING))
    for key, verdict in (("R43", "same"), ("R44", "same"), ("R46", "same"), ("R51", "opposite")):
        assert of(key, qm7x).verdict == verdict, key
    assert of("R43", qm7x).n == 40 and ", next " in of("R46", qm7x).ours
    written(qm7x, "relaxation/methods", relaxations(RATIOS | {"itp": 0.8}, {"gfn2": 0.2}))
    found = of("R43", qm7x)
    assert found.verdict == "opposite" and "itp behind mlff" in found.why
    assert of("R46", qm7x).why.startswith("gfn2 fails more than mmff94-ob")
    written(qm7x, "relaxation/methods", relaxations(RATIOS, FAILING, n=5))
    assert of("R43", qm7x).verdict == "undecided", "five molecules prove nothing, with three inputs each"
    assert of("R44", qm7x).verdict == "undecided"


def test_networks_that_hardly_denoise_prove_nothing(qm7x: Path) -> None:
    written(qm7x, "relaxation/methods", relaxations(RATIOS | {"jt": 0.9}, {}))
    found = of("R43", qm7x)
    assert (found.verdict, found.why) == ("undecided", "its jt ends at 0.24 Å, the paper's at 0.06 Å")


def test_numbers_of_qm7x_are_not_told_by_other_molecules(tmp_path: Path) -> None:
    written(tmp_path / "morered-mini", "relaxation/methods", relaxations(RATIOS, FAILING))
    for key in ("R45", "R47", "R51"):
        found = of(key, tmp_path / "morered-mini")
        assert (found.verdict, found.why) == ("undecided", "other molecules and levels than QM7-X's")


def test_what_uff_made_instead_is_a_failure_of_mmff94(qm7x: Path) -> None:
    table = relaxations(RATIOS, {}).assign(status="ok")
    instead = (table["method"] == "mmff94-ob") & (table["input"] == "diffused")
    table.loc[instead, "status"] = "fallback"
    written(qm7x, "relaxation/methods", table)
    assert of("R49", qm7x).verdict == "same" and of("R49", qm7x).ours.startswith("100 %")


def trained(folder: Path, name: str, n: int, bonds: bool = False, weights: str = "null") -> None:
    path = folder / f"training/{name}/model/config.yaml"
    path.parent.mkdir(parents=True)
    network = f"network: {{bond_graph: {str(bonds).lower()}}}"
    path.write_text(f"{network}\ntraining: {{n_molecules: {n}, config: {{weights: {weights}}}}}\n")


def force_field_trained(folder: Path, force_error_ev_ang: float) -> None:
    logs = folder / "training/mlff/logs/version_0"
    logs.mkdir(parents=True)
    columns = ["step", "validation/force_mae_ev_ang", "validation/energy_mae_ev"]
    # An earlier validation was better; the model is that of the last.
    rows = [(100, force_error_ev_ang / 10, 0.3), (150, None, None), (200, force_error_ev_ang, 0.146)]
    pd.DataFrame(rows, columns=columns).to_csv(logs / "metrics.csv", index=False)
    (folder / "training/mlff/model/weights.safetensors").touch()


def test_morereds_lead_is_judged_on_equal_terms(qm7x: Path) -> None:
    written(qm7x, "relaxation/methods", relaxations(RATIOS, FAILING))
    trained(qm7x, "jt", 100, bonds=True, weights="older")
    found = of("R43", qm7x)
    assert found.verdict == "undecided"
    assert found.why == "JT was given the bonds and other weights, the MLFF was not"
    assert of("R44", qm7x).verdict == "undecided"
    blind = {f"{name}-blind": RATIOS[name] for name in ("itp", "as", "jt")}
    written(qm7x, "relaxation/blind", relaxations({"mlff": 0.4, "gfn2": 0.42, **blind}, FAILING))
    assert of("R43", qm7x).verdict == "same" and "jt-blind 0.10" in of("R43", qm7x).ours
    assert of("R44", qm7x).verdict == "same" and of("R44", qm7x).ours.startswith("itp-blind: ")
    trained(qm7x, "mlff", 10_000)
    assert "began with the weights of older" in of("R73", qm7x).why
    trained(qm7x, "jt-blind", 100)
    assert of("R73", qm7x).verdict == "same" and "100.0 times" in of("R73", qm7x).ours
    force_field_trained(qm7x, 0.102)
    for key in ("R43", "R47", "R51"):
        assert of(key, qm7x).why == "its MLFF's force error is 4.5 times the paper's", key
    assert of("R69", qm7x).verdict == "opposite" and of("R73", qm7x).verdict == "undecided"


def test_a_retrained_network_saw_as_many_minima(qm7x: Path) -> None:
    table = relaxations({"jt": 0.1, "jt-mlff": 0.2}, {})
    written(qm7x, "relaxation/retrained", table)
    assert of("R58", qm7x).verdict == "same"
    trained(qm7x, "jt", 2990)
    trained(qm7x, "jt-mlff", 480)
    assert of("R58", qm7x).why == "JT saw 2990 minima, the retrained one 480"


def test_a_training_that_still_runs_is_not_judged(qm7x: Path) -> None:
    logs = qm7x / "training/mlff/logs/version_0"
    logs.mkdir(parents=True)
    (logs / "metrics.csv").touch()
    assert "has not trained its MLFF to the end" in of("R69", qm7x).why
    (qm7x / "training/mlff/model").mkdir()
    (qm7x / "training/mlff/model/weights.safetensors").touch()
    assert "have no validation/energy_mae_ev" in of("R69", qm7x).why


def test_outliers_spread_and_large_inputs_are_judged_by_molecule(qm7x: Path) -> None:
    rng = np.random.default_rng(3)
    table = relaxations(RATIOS, {})
    again = [
        table[table["method"] == sampler].assign(method=f"{sampler}-seed{seed}")
        for sampler in ("itp", "as", "jt")
        for seed in (1, 2)
    ]
    table = pd.concat([table, *again])
    noise = table["method"].map(lambda name: 0.001 if name.startswith("as") else 0.02)
    table["rmsd_after_ang"] += noise * rng.normal(size=len(table))
    written(qm7x, "relaxation/methods", table)
    assert of("R61", qm7x).verdict == of("R62", qm7x).verdict == "same", of("R61", qm7x).why
    written(qm7x, "relaxation/methods", table[~table["method"].str.contains("seed")])
    assert "not repeated with other seeds" in of("R61", qm7x).why
    steps = table[table["method"].isin(["jt", "as"])].copy()
    steps["first_step"] = 500 * steps["rmsd_before_ang"] + 10 * rng.normal(size=len(steps))
    far = (steps["method"] == "as") & (steps["id"] < 12) & (steps["conformer"] == 1)
    steps.loc[far, "first_step"] += 80
    written(qm7x, "figures/relaxation_steps", steps)
    found = of("R41", qm7x)
    assert found.verdict == "same" and found.n == 40 and "of 120, AS 1" in found.ours
    assert of("R40", qm7x).verdict == "same"


def test_energies_are_judged_by_molecule(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    centre = {"input": 20.0, "gfn2": -0.3, "mlff": -0.2, "jt": 0.2, "itp": 0.3, "as": 0.9}
    rows = [
        (method, molecule, conformer, energy + 0.05 * rng.normal(), "ok")
        for method, energy in centre.items()
        for molecule in range(15)
        for conformer in range(3)
    ]
    columns = ["method", "id", "conformer", "energy_kcal_mol", "status"]
    written(tmp_path, "figures/relaxation_energies", pd.DataFrame(rows, columns=columns))
    assert [of(key, tmp_path).verdict for key in ("R53", "R54", "R55")] == ["same"] * 3
    assert of("R57", tmp_path).why == f"{tmp_path.name} has no energies of jt-mlff"


def test_generation_by_a_network_that_makes_no_molecules_proves_nothing(tmp_path: Path) -> None:
    def table(adaptive: float, fixed: float) -> pd.DataFrame:
        rows = [
            (run, limit, "table", quantity, 500, value, value - 4, value + 4)
            for run, value in (("adaptive", adaptive), ("ddpm", fixed))
            for limit in (0, 500, 750, 1000)
            for quantity in ("V", "V+U", "V+U+N")
        ]
        names = ["run", "limit", "validity_by", "quantity", "n", "percent", "ci_low", "ci_high"]
        return pd.DataFrame(rows, columns=names)

    written(tmp_path, "figures/generation_limits_qm9", table(89, 78))
    assert of("R64", tmp_path).verdict == "same" and of("R67", tmp_path).verdict == "undecided"
    flat = of("R66", tmp_path)
    assert flat.verdict == "undecided" and "first rise less last rise 0 [" in flat.why
    risen = table(89, 78)
    early = (risen["run"] == "adaptive") & (risen["limit"] == 500)
    risen.loc[early, ["percent", "ci_low", "ci_high"]] -= 40
    risen.loc[risen["quantity"] == "V+U+N", "percent"] -= 20
    written(tmp_path, "figures/generation_limits_qm9", risen)
    assert of("R66", tmp_path).verdict == "same" and of("R67", tmp_path).verdict == "same"
    written(tmp_path, "figures/generation_limits_qm9", table(15, 1))
    found = of("R64", tmp_path)
    assert found.verdict == "undecided" and "15 % valid" in found.why


def test_a_table_of_another_version_is_not_shown(tmp_path: Path) -> None:
    written(tmp_path, "figures/relaxation_energies", pd.DataFrame({"method": ["jt"], "energy_ev": [0.1]}))
    found = of("R54", tmp_path)
    assert found.verdict == "not shown" and "no column 'energy_kcal_mol'" in found.why


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "morered-qm7x"
    written(results, "relaxation/methods", relaxations(RATIOS, {}))
    main([str(results), str(tmp_path / "papers.md")])
    text = (tmp_path / "papers.md").read_text()
    assert "| R43 | M 4a |" in text and "morered-qm7x |" in text and capsys.readouterr().out.strip() in text
    for wrong, sentence in (
        ([str(results)], "then the page to write"),
        ([str(tmp_path / "none"), "o.md"], "not a folder of results"),
    ):
        with pytest.raises(UserError, match=sentence):
            main(wrong)
    (tmp_path / "edm-qm9-limit-2").mkdir()
    with pytest.raises(UserError, match="shows nothing"):
        results_of([tmp_path / "edm-qm9-limit-2"])


def test_the_full_campaign_goes_before_the_small_one(tmp_path: Path) -> None:
    row = Row("R0", "E 0", "a claim", "yes", ("full", "mini"), lambda found: Finding(found.name, 9, "same"))
    both = {name: Found(tmp_path / name) for name in ("mini", "full")}
    assert judged(row, both).campaign == "full"
    assert judged(row, {"mini": both["mini"]}).campaign == "mini"


def test_a_page_keeps_what_other_results_showed(tmp_path: Path) -> None:
    """Campaigns are judged one at a time, as where each lies on a machine of its own."""
    out, other = tmp_path / "papers.md", tmp_path / "edm-qm9"
    results = tmp_path / "morered-qm7x"
    written(results, "relaxation/methods", relaxations(RATIOS, {}))
    main([str(results), str(out)])
    shown = findings_of(out.read_text())
    assert shown and all(each.campaign == "morered-qm7x" for each in shown.values())
    other.mkdir()
    for _ in range(2):
        main([str(other), str(out)])
        text = out.read_text()
        assert findings_of(text) == shown and text.count("morered-qm7x ᵏ |") == len(shown)
        assert "from `edm-qm9`, and from an earlier page" in text
    main([str(results), str(out)])
    assert "ᵏ |" not in out.read_text() and findings_of(out.read_text()) == shown
    (results / "relaxation/methods.csv").unlink()
    main([str(results), str(out)])
    assert not findings_of(out.read_text())  # its results are there and show nothing any more
