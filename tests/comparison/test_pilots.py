"""What teaching a denoiser took is in every saving of its start."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from campaigns import not_converged, relaxed, write_campaign

from prerelax.comparison.comparison import compare, read_comparison
from prerelax.comparison.pilots import Pilot, shares
from prerelax.records.shard import write_shard

TABLE = pa.table(
    {
        "target": ["dft", "dft", "dft", "dft", "gfn2"],
        "start": ["mmff94", "mmff94", "mine", "mine", "mine"],
    }
)


@pytest.mark.parametrize(
    ("carries", "gradients"),
    [([1, 1, 1, 1, 1], [0, 0, 60, 60, 120]), ([1, 1, 0, 1, 0], [0, 0, 0, 120, 120])],
    ids=["all count", "one counts, at gfn2 none"],
)
def test_a_pilot_is_shared_by_the_relaxations_that_count(carries: list[int], gradients: list[float]) -> None:
    shared = shares(TABLE, {"mine": Pilot(120, 60.0), "other": Pilot(1, 1.0)}, np.array(carries, dtype=bool))
    assert shared is not None
    assert shared[0].tolist() == gradients and shared[1].tolist() == [each / 2 for each in gradients]


def test_without_a_pilot_nothing_is_added() -> None:
    assert shares(TABLE, {"other": Pilot(1, 1.0)}, np.ones(5, dtype=bool)) is None


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


def test_pilots_of_an_earlier_version_lack_a_column(tmp_path: Path) -> None:
    rows = [relaxed("1", "mmff94", 19), relaxed("1", "mine", 4)]
    folders = write_campaign(tmp_path / "results/x", rows)
    (tmp_path / "results/x/campaign.yaml").write_text(ADAPTED.replace("WHAT", "molecules"))
    shard = tmp_path / "results/x/pilot/mine/60/relaxed/0.extxyz"
    write_shard(shard, [relaxed("a", "mmff94", 5), not_converged("b", "mmff94", 3)])
    table = shard.with_suffix(".parquet")
    pq.write_table(pq.read_table(table).drop_columns(["stereo_unchanged"]), table)
    assert "mine learned its level first: 4 gradients" in compare(tmp_path / "comparison.csv", folders)


def test_no_part_of_a_pilot_is_lost_with_relaxations_that_failed(tmp_path: Path) -> None:
    """Of sixteen molecules four count; two pairs have a fallback each, and ten were never relaxed."""
    results = tmp_path / "results/x"
    rows = [relaxed(str(i), "mmff94", 19) for i in range(15)]
    rows += [relaxed("15", "mmff94", 19, fallback="no types")]
    rows += [relaxed(str(i), "mine", 4 if i < 4 else None) for i in range(15) if i != 4]
    rows += [relaxed("4", "mine", 4, fallback="unsure"), relaxed("15", "mine", 4)]
    folders = write_campaign(results, rows)
    (results / "campaign.yaml").write_text(ADAPTED.replace("WHAT", "fragments"))
    write_shard(results / "pilot/mine/relaxed/0.extxyz", [relaxed(str(i), "mmff94", 9) for i in range(16)])
    compare(tmp_path / "comparison.csv", folders)
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["start", "subset"])
    alone, whole = summary.loc["mine", "no fallback"], summary.loc["mine", "all"]
    assert alone["n_gradients_pilot"] == whole["n_gradients_pilot"] == 160
    assert alone["times_fewer"] == pytest.approx(80 / (20 + 160), rel=1e-4)
    assert whole["times_fewer"] == pytest.approx(120 / (30 + 160), rel=1e-4)
    assert whole["n_gradients_spent"] == 30 + 160
