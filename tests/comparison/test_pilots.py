"""What teaching a denoiser took is in every saving of its start."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from campaigns import not_converged, relaxed, write_campaign

from prerelax.comparison.comparison import compare, read_comparison
from prerelax.comparison.pilots import Pilot, with_pilots
from prerelax.records.shard import write_shard

TABLE = pa.table(
    {
        "target": ["dft", "dft", "dft", "dft", "gfn2"],
        "start": ["mmff94", "mmff94", "mine", "mine", "mine"],
    }
)


def test_a_pilot_is_shared_by_all_relaxations_of_its_start_at_each_target() -> None:
    shared = with_pilots(TABLE, {"mine": Pilot(120, 60.0), "other": Pilot(1, 1.0)})
    assert shared["n_gradients_pilot"].to_pylist() == [0, 0, 60, 60, 120]
    assert shared["wall_s_pilot"].to_pylist() == [0, 0, 30, 30, 60]


def test_without_a_pilot_nothing_is_added() -> None:
    assert with_pilots(TABLE, {"other": Pilot(1, 1.0)}).column_names == TABLE.column_names


ADAPTED = """campaign: x
molecules: m.csv
starts:
  mmff94: {kind: forcefield}
  mine: {kind: diffuse, model: relaxer-organic, adapt: {target: gfn2, "on": WHAT}}
"""


@pytest.mark.parametrize(("what", "spent"), [("fragments", 10), ("molecules", 4)])
def test_savings_carry_the_pilot(tmp_path: Path, what: str, spent: int) -> None:
    """Of molecules only what led to no minimum: the others' gradients are in their own rows."""
    results = tmp_path / "results/x"
    folders = write_campaign(
        results,
        [relaxed(id, start, steps) for id in ("1", "2") for start, steps in (("mmff94", 19), ("mine", 4))],
    )
    (results / "campaign.yaml").write_text(ADAPTED.replace("WHAT", what))
    folder = "relaxed" if what == "fragments" else "60/relaxed"
    pilot = [relaxed("a", "mmff94", 5), not_converged("b", "mmff94", 3), relaxed("c", "mmff94", None)]
    write_shard(results / f"pilot/mine/{folder}/0.extxyz", pilot)
    (results / "adapted/mine").mkdir(parents=True)
    (results / "adapted/mine/config.yaml").write_text("training: {adapted: {minutes: 0.5}}")

    text = compare(tmp_path / "comparison.csv", folders)
    table = read_comparison(tmp_path / "comparison.csv").set_index("start")
    assert list(table.loc["mine", "n_gradients"]) == [5, 5], "as they were"
    assert list(table.loc["mine", "gradients_saved_percent"]) == [100 * (1 - (5 + spent / 2) / 20)] * 2
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["start", "subset"])
    mine = summary.loc["mine", "all"]
    assert mine["times_fewer"] == pytest.approx(40 / (10 + spent), rel=1e-4)
    assert (mine["n_gradients_pilot"], mine["n_gradients_spent"]) == (spent, 10 + spent)
    assert mine["core_h_pilot"] == pytest.approx((30 + (4 if what == "fragments" else 2)) / 3600, rel=1e-3)
    assert f"mine learned its level first: {spent} gradients and" in text
    assert "not earned back" in text, "both took two seconds"
    assert summary.loc["mmff94", "all"]["n_gradients_pilot"] == 0
