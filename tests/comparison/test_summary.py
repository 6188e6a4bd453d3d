"""What sums, medians and the headline are of: every conformer, molecules, starts made as asked for."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from campaigns import relaxed, write_campaign

from prerelax.comparison.comparison import compare, read_comparison


def test_conformers_are_pairs_of_their_own(tmp_path: Path) -> None:
    records = [relaxed("a", "mmff94", 9, conformer=c) for c in (0, 1)]
    records += [relaxed("a", "edm", n, conformer=c) for c, n in ((1, 4), (0, 1))]
    compare(tmp_path / "comparison.csv", write_campaign(tmp_path, records))
    frame = read_comparison(tmp_path / "comparison.csv")
    saved = frame[frame["start"] == "edm"].set_index("conformer")["gradients_saved_percent"]
    assert saved.to_dict() == {1: 50.0, 0: 80.0}
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["start", "subset"])
    row = summary.loc[("edm", "all")]
    assert (row["n_counted"], row["n_molecules"], row["gradients_saved_percent_median"]) == (2, 1, 65.0)


def test_sums_take_in_every_conformer_and_medians_the_molecule(tmp_path: Path) -> None:
    """Nine conformers of one molecule save nothing, two other molecules save 15 of 20 gradients each."""
    molecules = [("a", c, 19) for c in range(9)] + [("b", 0, 4), ("c", 0, 4)]
    records = [relaxed(id, "mmff94", 19, conformer=c) for id, c, _ in molecules]
    records += [relaxed(id, "edm", n, conformer=c) for id, c, n in molecules]
    compare(tmp_path / "comparison.csv", write_campaign(tmp_path, records))
    row = pd.read_csv(tmp_path / "summary.csv").set_index(["start", "subset"]).loc[("edm", "no fallback")]
    assert (row["n_counted"], row["n_molecules"]) == (11, 3)
    assert row["n_gradients_spent"] == 9 * 20 + 2 * 5
    assert row["times_fewer"] == pytest.approx(11 * 20 / 190, rel=1e-5)
    assert (row["n_gradients_median"], row["gradients_saved_percent_median"]) == (5, 75)
    assert row["n_gradients_mean"] == pytest.approx(190 / 11, rel=1e-5)


def test_a_baseline_that_a_fallback_began_is_no_headline(tmp_path: Path) -> None:
    records = [relaxed("a", "mmff94", 9, fallback="no MMFF94 parameters"), relaxed("b", "mmff94", 9)]
    records += [relaxed(id, "edm", 4) for id in ("a", "b")]
    text = compare(tmp_path / "comparison.csv", write_campaign(tmp_path, records))
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["start", "subset"])
    counted = summary.loc["edm", ["n_counted", "n_fallback", "n_baseline_fallback"]]
    assert counted.loc["no fallback"].tolist() == [1, 0, 0]
    assert counted.loc["all"].tolist() == [2, 0, 1]
    assert "fallbacks of the baseline: 1 of edm" in text


def test_a_fallback_at_the_targets_level_saves_no_steps(tmp_path: Path) -> None:
    """Its gradients are counted; no step of the relaxation stands for them."""
    spent = {"GFN2-xTB (tblite)": 12}
    records = [relaxed("a", "mmff94", 9)]
    records += [relaxed("a", "edm", 0, fallback="unsure", gradients_of_levels=spent)]
    compare(tmp_path / "comparison.csv", write_campaign(tmp_path, records))
    row = read_comparison(tmp_path / "comparison.csv").set_index("start").loc["edm"]
    assert row["gradients_saved_percent"] == pytest.approx(-30) and np.isnan(row["steps_saved_percent"])
