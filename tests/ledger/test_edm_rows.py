"""Rows of the EDM paper, judged by tables as studies write them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tables import of, written

from prerelax.comparison.summary import ALL, WITHIN_TEXT_FILTER
from prerelax.ledger.row import Found


@pytest.mark.parametrize(
    ("path_minus_forces", "low", "high", "early", "late"),
    [
        (0.1, 0.05, 0.15, "opposite", "same"),
        (-0.1, -0.15, -0.05, "same", "opposite"),
        (0.0, -0.1, 0.1, "undecided", "undecided"),
    ],
)
def test_alignment_is_judged_at_ten_steps(
    path_minus_forces: float, low: float, high: float, early: str, late: str, tmp_path: Path
) -> None:
    rows = [
        (
            start,
            k,
            20,
            0.4,
            0.5,
            path_minus_forces if k == 10 else 0.9,
            low if k == 10 else 0.8,
            high if k == 10 else 1.0,
        )
        for start in ("epoch50-n50", "edm-n50")
        for k in (1, 10, 30)
    ]
    names = ["start", "k", "n", "steps_forces", "forces_path", "path_minus_forces", "ci_low", "ci_high"]
    beyond = {"": -0.1, "_ci_low": -0.15, "_ci_high": -0.05}
    more = {f"steps_minus_path_at_forces{end}": value for end, value in beyond.items()}
    written(tmp_path, "figures/alignment_qm9_numbers", pd.DataFrame(rows, columns=names).assign(**more))
    assert of("R13", tmp_path).verdict == early and of("R14", tmp_path).verdict == late
    assert of("R15", tmp_path).verdict == "same"


def test_steps_summed_are_those_of_the_networks_schedule(tmp_path: Path) -> None:
    names = ["start", "k", "n", "steps_forces", "forces_path", "path_minus_forces", "ci_low", "ci_high"]
    rows = [("edm-n50", k, 20, 0.4, 0.5, 0.1 * k, 0.1 * k - 0.05, 0.1 * k + 0.05) for k in (1, 2, 6)]
    beyond = {"": -0.1, "_ci_low": -0.15, "_ci_high": -0.05}
    more = {f"steps_minus_path_at_forces{end}": value for end, value in beyond.items()}
    written(tmp_path, "figures/alignment_qm9_numbers", pd.DataFrame(rows, columns=names).assign(**more))
    assert of("R14", tmp_path).verdict == "not shown"
    phases = pd.DataFrame([("steps of the schedule", 200.0)], columns=["quantity", "ours"])
    written(tmp_path, "figures/phases_numbers", phases)
    assert of("R14", tmp_path).ours == "0.2 [0.15, 0.25], forces of qm9", "ten of a thousand are two of 200"
    assert of("R15", tmp_path).verdict == "same"
    wide = pd.DataFrame(rows, columns=names).assign(**more | {"steps_minus_path_at_forces_ci_high": 0.05})
    written(tmp_path, "figures/alignment_qm9_numbers", wide)
    assert of("R15", tmp_path).verdict == "undecided"
    assert "no early checkpoint" in of("R13", tmp_path).why


def test_forces_of_another_level_decide_nothing(tmp_path: Path) -> None:
    names = ["start", "k", "n", "steps_forces", "forces_path", "path_minus_forces", "ci_low", "ci_high"]
    table = pd.DataFrame([("edm-n50", 10, 20, 0.4, 0.5, 0.1, 0.05, 0.15)], columns=names)
    written(tmp_path, "figures/alignment_gfn2_numbers", table)
    found = of("R14", tmp_path)
    assert found.verdict == "undecided" and "not the paper's level" in found.why and "gfn2" in found.ours


def test_phases_of_a_poor_network_are_undecided(tmp_path: Path) -> None:
    def numbers(step: float, valid: float) -> pd.DataFrame:
        words = "steps left when half of the {} have their final {}"
        rows = [
            (words.format("atoms", "element"), step + 5),
            (words.format("molecules", "element"), step),
            (words.format("molecules", "valence"), 6.0),
            ("steps left when the schedule alone makes half of the molecules' elements final", 58.0),
            ("share of finished molecules with allowed valences alone", valid),
            ("molecules", 100.0),
        ]
        return pd.DataFrame([(q, v, v) for q, v in rows], columns=["quantity", "ours", "ours_of_1000"])

    for step, valid, verdict in (
        (50, 0.9, "same"),
        (58, 0.9, "undecided"),
        (90, 0.9, "opposite"),
        (50, 0.0, "undecided"),
    ):
        written(tmp_path, "figures/phases_numbers", numbers(step, valid))
        assert of("R1", tmp_path).verdict == verdict
    assert "0 % of its molecules are valid" in of("R2", tmp_path).why


def test_another_level_than_the_papers_decides_nothing(tmp_path: Path) -> None:
    names = ["target", "start", "zero", "id", "calls_left", "above_kcal_mol"]
    rows = [
        ("gfn2", "edm-n50", "its own minimum", molecule, left, 6.0 - left / 20 + 0.01 * molecule)
        for molecule in range(20)
        for left in (50, 25, 0)
    ]
    written(tmp_path, "figures/paths_gfn2", pd.DataFrame(rows, columns=names))
    found = of("R12", tmp_path)
    assert found.verdict == "undecided" and found.ours == "0 of 20, GFN2-xTB"
    assert found.why == "at GFN2-xTB, which is not the paper's level"
    written(tmp_path, "figures/paths_qm9", pd.DataFrame(rows, columns=names).assign(above_kcal_mol=-0.1))
    assert of("R12", tmp_path).verdict == "same"


def test_growth_over_training_is_of_all_pairs(tmp_path: Path) -> None:
    subsets = {WITHIN_TEXT_FILTER: [30.0, 20.0, 10.0, 5.0, 1.0], ALL: [10.0, 20.0, 30.0, 40.0, 50.0]}
    rows = [
        {"steps": 50, "subset": subset, "epoch": epoch, "n_counted": 20, "steps_saved_percent_median": median}
        for subset, medians in subsets.items()
        for epoch, median in enumerate(medians)
    ]
    written(tmp_path, "figures/training_speedup_gfn2", pd.DataFrame(rows))
    found = of("R33", tmp_path)
    assert (found.ours, found.verdict) == ("R² = 1.00", "same")


@pytest.mark.parametrize(("low", "verdict"), [(0.2, "same"), (-0.1, "undecided")])
def test_growth_over_training_is_judged_by_molecule(low: float, verdict: str, tmp_path: Path) -> None:
    rows = pd.DataFrame({"epoch": range(5), "steps_saved_percent_median": [10.0, 20, 30, 40, 50]})
    rise = {"rise": 0.5, "rise_ci_low": low, "rise_ci_high": 0.8, "rise_n": 20}
    table = rows.assign(steps=50, subset=ALL, n_counted=20, **rise)
    written(tmp_path, "figures/training_speedup_gfn2", table)
    assert of("R28", tmp_path).verdict == verdict


# A molecule's minimum is another one in a tenth of the pairs, whose saving is far off, or not.
@pytest.mark.parametrize(("outlier", "verdict"), [(45.0, "same"), (None, "undecided")])
def test_outliers_move_the_median_or_not(outlier: float | None, verdict: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    saved = rng.normal(40, 8, 40)
    deltas = np.where(np.arange(40) < 4, 0.5, 0.0)
    if outlier is None:
        saved -= 40
    else:
        saved[:4] = outlier
    pairs = pd.DataFrame({"id": map(str, range(40)), "steps_saved_percent": saved, "delta_kcal_mol": deltas})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Found, "pairs", lambda self, target, start: pairs)
        found = of("R38", tmp_path)
    assert found.verdict == verdict, found


def test_quartiles_are_of_molecules(tmp_path: Path) -> None:
    pairs = pd.DataFrame({"id": list("abcd") * 10, "baseline_n_steps": 20.0, "n_steps": 2.0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Found, "pairs", lambda self, target, start: pairs)
        found = of("R26", tmp_path)
    assert found.verdict == "undecided" and found.n == 4


def boltzmann_numbers(folder: Path, **changed: tuple[float, float, float, int]) -> None:
    """The table that rows R16 to R22 read, of chains as long as the paper's."""
    rows = {
        "factor of T = factor n² / K": (0.3, 0.28, 0.33, 20),
        "standard deviation of the molecules' factors over their mean": (0.1, 0.08, 0.2, 20),
        "chains of Metropolis whose halves": (0, np.nan, np.nan, 60),
        "n = 40: chains that break": (0, np.nan, np.nan, 20),
        "n = 40: repeats of chains that break": (20_000, np.nan, np.nan, 20),
    }
    rows |= {name: values for words, values in changed.items() for name in rows if words in name}
    names = ["quantity", "ours", "ci_low", "ci_high", "n"]
    table = pd.DataFrame([(name, *values) for name, values in rows.items()], columns=names)
    written(folder, "figures/boltzmann_temperature_numbers", table)


def test_one_factor_is_the_papers_and_serves_all_molecules(tmp_path: Path) -> None:
    boltzmann_numbers(tmp_path)
    assert of("R21", tmp_path).verdict == "same"
    boltzmann_numbers(tmp_path, factor=(5.0, 4.9, 5.1, 20))
    assert of("R21", tmp_path).verdict == "opposite"
    boltzmann_numbers(tmp_path, deviation=(0.8, 0.6, 1.2, 20))
    assert of("R21", tmp_path).verdict == "opposite"
    boltzmann_numbers(tmp_path, Metropolis=(40, np.nan, np.nan, 60))
    assert of("R21", tmp_path).verdict == "undecided"


def test_chains_hold_where_none_of_them_breaks_in_as_many_repeats(tmp_path: Path) -> None:
    boltzmann_numbers(tmp_path)
    assert of("R19", tmp_path).verdict == "same"
    boltzmann_numbers(tmp_path, repeats=(400, np.nan, np.nan, 20))
    assert of("R19", tmp_path).why == "400 repeats are fewer than the paper's 20000"
    boltzmann_numbers(tmp_path, break_=(0, np.nan, np.nan, 20))
    table = pd.read_csv(tmp_path / "figures/boltzmann_temperature_numbers.csv")
    table.loc[table["quantity"] == "n = 40: chains that break", "ours"] = 1
    written(tmp_path, "figures/boltzmann_temperature_numbers", table)
    assert of("R19", tmp_path).verdict == "opposite"


@pytest.mark.parametrize(
    ("of_t", "of_n", "verdict"), [(1.0, 2.0, "same"), (1.0, 1.0, "opposite"), (0.5, 2.0, "opposite")]
)
def test_energies_go_with_t_and_the_square_of_n(
    of_t: float, of_n: float, verdict: str, tmp_path: Path
) -> None:
    boltzmann_numbers(tmp_path)
    spread = np.random.default_rng(0).normal(0, 0.1, 20)
    table = pd.DataFrame(
        {"id": map(str, range(20)), "power_of_t": of_t + spread, "power_of_n": of_n + spread}
    )
    written(tmp_path, "figures/boltzmann_laws", table)
    assert of("R20", tmp_path).verdict == verdict
    written(tmp_path, "figures/boltzmann_laws", table.assign(power_of_n=np.nan))
    assert of("R20", tmp_path).verdict != "same"
