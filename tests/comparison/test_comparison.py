"""Pairs and summary against tables worked out by hand."""

import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from ase import units
from campaigns import not_converged, relaxed, write_campaign
from hypothesis import given, settings
from hypothesis import strategies as st

from prerelax.campaign.baseline import Baseline
from prerelax.comparison.comparison import MMFF94, compare, read_comparison
from prerelax.comparison.ends import COUNTED
from prerelax.comparison.pairs import OWN_LEVEL, ComparisonError, pair_with_baseline
from prerelax.comparison.relaxed_shards import read_relaxations
from prerelax.comparison.summary import summarise
from prerelax.errors import UserError
from prerelax.molecules.status import Status
from prerelax.records.record import Record, as_table
from prerelax.records.seal import write_table

KCAL_MOL = units.kcal / units.mol


def rows_of(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    with path.open(newline="") as file:
        return {(row["id"], row["start"]): row for row in csv.DictReader(file)}


def compared(tmp_path: Path, records: list[Record]) -> dict[tuple[str, str], dict[str, str]]:
    out = tmp_path / "comparison.csv"
    compare(out, write_campaign(tmp_path, records))
    return rows_of(out)


def test_savings_and_deltas(tmp_path: Path) -> None:
    rows = compared(
        tmp_path,
        [
            relaxed("a", "mmff94", 19, energy_ev=-10.0),
            relaxed("b", "mmff94", 9, energy_ev=-10.0),
            relaxed("a", "edm-n50", 9, energy_ev=-10.0 - KCAL_MOL, start_energy_ev=-10.0),
            relaxed("b", "edm-n50", 19, energy_ev=-10.0 + 2 * KCAL_MOL),
        ],
    )
    a, b = rows["a", "edm-n50"], rows["b", "edm-n50"]
    assert (a["pair"], a["baseline_n_steps"], a["baseline_n_gradients"]) == ("deeper", "19", "20")
    assert float(a["gradients_saved_percent"]) == 50.0
    assert float(a["steps_saved_percent"]) == pytest.approx(100 * 10 / 19, abs=1e-4)
    assert float(a["delta_kcal_mol"]) == -1.0
    assert float(a["start_above_minimum_kcal_mol"]) == 1.0
    assert float(b["gradients_saved_percent"]) == -100.0
    assert (b["pair"], float(b["delta_kcal_mol"])) == ("higher", 2.0)
    own = rows["a", "mmff94"]
    assert (own["pair"], own["gradients_saved_percent"], own["delta_kcal_mol"]) == ("baseline", "", "")


def test_baseline_without_steps_counts_by_gradients_only(tmp_path: Path) -> None:
    rows = compared(tmp_path, [relaxed("a", "mmff94", 0), relaxed("a", "edm-n50", 3)])
    row = rows["a", "edm-n50"]
    assert (row["pair"], row["steps_saved_percent"], row["gradients_saved_percent"]) == (
        "same",
        "",
        "-300",
    )
    summary = pd.read_csv(tmp_path / "summary.csv")
    of_start = summary[(summary["start"] == "edm-n50") & (summary["subset"] == "all")].iloc[0]
    assert of_start["n_baseline_zero_steps"] == 1
    assert np.isnan(of_start["steps_saved_percent_median"])
    assert of_start["gradients_saved_percent_median"] == -300


LEFT_OUT = [
    (relaxed("a", "mmff94", 5), not_converged("a", "edm", 5), "not_converged"),
    (not_converged("a", "mmff94", 5), relaxed("a", "edm", 5), "baseline not_converged"),
    (not_converged("a", "mmff94", 5), not_converged("a", "edm", 5), "not_converged"),
    (relaxed("b", "mmff94", 5), relaxed("a", "edm", 5), "no baseline row"),
    (relaxed("a", "mmff94", 5), relaxed("a", "edm", None), "embed_failed"),
    (relaxed("a", "mmff94", None, status="scf_failed"), relaxed("a", "edm", 5), "baseline scf_failed"),
    (relaxed("a", "mmff94", 5), relaxed("a", "edm", 5, connectivity_unchanged=False), "connectivity changed"),
    (
        relaxed("a", "mmff94", 5, connectivity_unchanged=False),
        relaxed("a", "edm", 5),
        "baseline connectivity changed",
    ),
    (relaxed("a", "mmff94", 5), relaxed("a", "edm", 5, n_imaginary=1), "saddle point"),
    (relaxed("a", "mmff94", 5, n_imaginary=2), relaxed("a", "edm", 5), "baseline saddle point"),
    (relaxed("a", "mmff94", 5), replace(relaxed("a", "edm", 5), n_steps=None), "counts missing"),
]


@pytest.mark.parametrize(("baseline", "other", "reason"), LEFT_OUT, ids=[reason for _, _, reason in LEFT_OUT])
def test_left_out_with_its_reason(tmp_path: Path, baseline: Record, other: Record, reason: str) -> None:
    rows = compared(tmp_path, [baseline, other])
    row = rows["a", "edm"]
    assert row["pair"] == reason
    assert not row["gradients_saved_percent"] and not row["steps_saved_percent"] and not row["delta_kcal_mol"]
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["start", "subset"])
    assert summary.loc[("edm", "all"), f"left_out_{reason.replace(' ', '_')}"] == 1
    assert summary.loc[("edm", "all"), "n_counted"] == 0


def test_a_fallback_start_counts_when_its_relaxation_converged(tmp_path: Path) -> None:
    records = [relaxed(molecule, "mmff94", 5) for molecule in ("a", "b")]
    records.append(relaxed("a", "edm", 2, status="fallback", fallback="no S, it says", residual_ang=None))
    records.append(relaxed("b", "edm", 3, residual_ang=0.0123))
    rows = compared(tmp_path, records)
    assert rows["a", "edm"]["pair"] == "same"
    assert [rows[m, "edm"]["fallback"] for m in "ab"] == ["no S, it says", ""]
    assert [rows[m, "edm"]["residual_ang"] for m in "ab"] == ["", "0.0123"]
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["start", "subset"])
    assert summary.loc[("edm", "all"), "n_fallback"] == 1
    assert summary.loc[("mmff94", "all"), "n_fallback"] == 0
    text = compare(tmp_path / "comparison.csv", write_campaign(tmp_path, records))
    assert "fallbacks in edm: 1 made by another method" in text and "fallbacks in mmff94" not in text


def test_a_start_of_the_targets_own_level_saves_nothing(tmp_path: Path) -> None:
    """Its gradients were spent at that level before; a fallback's are added to the relaxation's."""
    own = {"gradients_of_levels": {"GFN2-xTB (tblite)": 12, "GFN1-xTB (tblite)": 3}}
    records = [relaxed(molecule, "mmff94", 14) for molecule in "ab"]
    records += [relaxed(molecule, "gfn2", 0, **own) for molecule in "ab"]
    records += [relaxed("a", "edm", 4), relaxed("b", "edm", 0, status="fallback", fallback="an ion", **own)]
    rows = compared(tmp_path, records)
    assert (rows["a", "gfn2"]["pair"], rows["a", "gfn2"]["n_gradients"]) == (OWN_LEVEL, "13")
    assert not rows["a", "gfn2"]["gradients_saved_percent"]
    ion = rows["b", "edm"]
    assert (ion["pair"], ion["n_gradients"], ion["n_gradients_of_start"]) == ("same", "13", "12")
    assert float(ion["gradients_saved_percent"]) == pytest.approx(100 * 2 / 15, abs=1e-4)
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["start", "subset"])
    saved = summary["gradients_saved_percent_median"]
    assert saved["edm", "no fallback"] == pytest.approx(100 * 2 / 3, abs=1e-3)
    assert saved["edm", "all"] == pytest.approx((200 / 3 + 200 / 15) / 2, abs=1e-3)
    assert summary.loc[("gfn2", "all"), "n_counted"] == 0
    assert list(summary.loc["edm"].index)[:2] == ["no fallback", "all"]


def test_a_baseline_at_one_target_is_compared_with_all_of_its_level(tmp_path: Path) -> None:
    qm9 = {"engine": "pyscf", "method": "qm9"}
    slow, quick = (json.dumps(qm9 | {"optimizer": name}) for name in ("bfgs", "two-level"))
    molecules = [f"{n}" for n in range(9)]
    folders = write_campaign(
        tmp_path, [relaxed(m, "mmff94", 19, target="slow", settings=slow) for m in molecules], "slow"
    )
    quickly = [relaxed(m, "mmff94", 9, target="quick", settings=quick) for m in molecules]
    quickly += [relaxed(m, "edm", 3, target="quick", settings=quick, wall_s=1.0) for m in molecules]
    folders += write_campaign(tmp_path, quickly, "quick")
    folders += write_campaign(tmp_path, [relaxed(m, s, 9) for s in ("mmff94", "edm") for m in molecules])
    text = compare(tmp_path / "comparison.csv", folders, Baseline(start="mmff94", target="slow"))
    assert "against mmff94@slow" in text
    frame = read_comparison(tmp_path / "comparison.csv")
    pairs = frame.groupby(["target", "start"], observed=True)["pair"].first().to_dict()
    assert pairs == {
        ("gfn2", "edm"): "same",
        ("gfn2", "mmff94"): "baseline",
        ("quick", "edm"): "same",
        ("quick", "mmff94"): "same",
        ("slow", "mmff94"): "baseline",
    }
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["target", "start", "subset"])
    row = summary.loc[("quick", "edm", "no fallback")]
    assert (row["optimizer"], row["level"]) == ("two-level", "qm9 (pyscf)")
    assert (row["times_fewer"], row["times_fewer_median"], row["n_gradients_mean"]) == (5.0, 5.0, 4.0)
    assert row["core_h_saved"] == pytest.approx(9 / 3600, rel=1e-4)
    assert row["wilcoxon_p"] == pytest.approx(2 / 2**9, rel=1e-4)
    assert summary.loc[("quick", "mmff94", "no fallback"), "times_fewer"] == 2.0
    assert summary.loc[("gfn2", "edm", "no fallback"), "times_fewer"] == 1.0


def test_without_a_baseline_gradients_are_told_and_no_saving(tmp_path: Path) -> None:
    folders = write_campaign(tmp_path, [relaxed("a", "edm", 4), relaxed("b", "edm", 6)])
    text = compare(tmp_path / "comparison.csv", folders, None)
    assert "no baseline: gradients spent, and no saving" in text and "6.0" in text
    frame = read_comparison(tmp_path / "comparison.csv")
    assert set(frame["pair"]) == {"not compared"} and frame["gradients_saved_percent"].isna().all()
    row = pd.read_csv(tmp_path / "summary.csv").iloc[0]
    assert (row["n_gradients_spent"], row["n_finished"], row["n_gradients_median"]) == (12, 2, 6.0)
    assert np.isnan(row["times_fewer"])


def test_a_baseline_that_names_no_pair(tmp_path: Path) -> None:
    folders = write_campaign(tmp_path, [relaxed("a", "mmff94", 5)])
    with pytest.raises(ComparisonError, match="no relaxation from mmff94 at the baseline's target 'b3lyp'"):
        compare(tmp_path / "comparison.csv", folders, Baseline(start="mmff94", target="b3lyp"))
    assert Baseline.read("none") is None
    for words in ("mmff94@", "@b3lyp", "", '{"start": "mmff94"}'):
        with pytest.raises(UserError, match="write START, START@TARGET or none"):
            Baseline.read(words)


def test_same_minimum_and_the_papers_filters(tmp_path: Path) -> None:
    deltas = [0.0, -0.19, 0.21, -4.0, 5.0]
    records = [relaxed(f"{i}", "mmff94", 9) for i in range(5)]
    records += [relaxed(f"{i}", "edm", i, energy_ev=-10 + delta * KCAL_MOL) for i, delta in enumerate(deltas)]
    compare(tmp_path / "comparison.csv", write_campaign(tmp_path, records))
    summary = pd.read_csv(tmp_path / "summary.csv")
    edm = summary[summary["start"] == "edm"].set_index("subset")
    assert edm["n_counted"].to_dict() == {
        "no fallback": 5,
        "all": 5,
        "same minimum": 3,
        "within 0.2 kcal/mol": 2,
        "within 0.2 eV": 4,
    }
    assert edm["gradients_saved_percent_median"].to_dict() == {
        "no fallback": 70.0,
        "all": 70.0,
        "same minimum": 80.0,
        "within 0.2 kcal/mol": 85.0,
        "within 0.2 eV": 75.0,
    }
    assert (edm.loc["all", "n_deeper_minimum"], edm.loc["all", "n_higher_minimum"]) == (1, 1)


def test_wall_time_of_every_stage(tmp_path: Path) -> None:
    records = [
        relaxed("a", "mmff94", 9),
        relaxed("a", "gfn2", 0, stages_s={"rdkit": 0.25, "mmff94": 0.5, "gfn2": 3.0}, wall_s=2.0),
        relaxed("a", "rdkit", None, stages_s={"rdkit": 0.25}, wall_s=0.25),
    ]
    rows = compared(tmp_path, records)
    row = rows["a", "mmff94"]
    seconds = [float(row[f"wall_s_{part}"]) for part in ("before", "relax", "total", "before_rdkit")]
    assert seconds == [0.75, 2.0, 2.75, 0.25]
    # the start gfn2 took 1 s and the target of the same name 2 s
    row = rows["a", "gfn2"]
    assert (row["wall_s_before_gfn2"], row["wall_s_relax"], row["wall_s_total"]) == ("1", "2", "3.75")
    row = rows["a", "rdkit"]
    assert (row["wall_s_before"], row["wall_s_relax"], row["wall_s_total"]) == ("0.25", "", "0.25")


def test_a_stage_of_the_same_name_keeps_its_seconds() -> None:
    record = Record(id="a").after_stage("gfn2", 1.0).after_stage("gfn2", 2.0)
    assert (record.stages_s, record.wall_s) == ({"gfn2": 3.0}, 2.0)


ODD_IDS = ["000123", "T", "1e5", "NA", "", "a,b", 'say "x"', "-5", "nan", "ä", "two\nlines"]


def test_ids_and_messages_stay_text(tmp_path: Path) -> None:
    records = [relaxed(id, start, 5, message=id) for start in ("mmff94", "edm") for id in ODD_IDS]
    compare(tmp_path / "comparison.csv", write_campaign(tmp_path, records))
    frame = read_comparison(tmp_path / "comparison.csv")
    assert frame["id"].tolist() == frame["message"].tolist() == 2 * ODD_IDS
    assert frame["pair"].tolist() == ["baseline"] * len(ODD_IDS) + ["same"] * len(ODD_IDS)
    plain = pd.read_csv(tmp_path / "comparison.csv", dtype={"id": str}, keep_default_na=False)
    assert plain["id"].tolist() == 2 * ODD_IDS


def test_what_the_user_wrote_comes_back(tmp_path: Path) -> None:
    given = {"input_smiles": "O", "input_columns": {"batch": "7", "status": "old", "Yield / %": "93"}}
    rows = [relaxed("a", start, 4, **given) for start in ("mmff94", "edm")]
    rows += [relaxed("b", start, 4, stereo_unchanged=start == "mmff94") for start in ("mmff94", "edm")]
    compare(tmp_path / "c.csv", write_campaign(tmp_path, rows), MMFF94)
    table = pd.read_csv(tmp_path / "c.csv", dtype=str, keep_default_na=False)
    assert table["batch"].tolist() == ["7", "", "7", ""]
    assert table["input_status"].tolist()[0] == "old" and table["status"].tolist()[0] == "ok"
    assert table["Yield / %"].tolist()[0] == "93" and table["input_smiles"].tolist()[0] == "O"
    read = read_comparison(tmp_path / "c.csv")
    assert read.loc[(read["id"] == "b") & (read["start"] == "edm"), "pair"].tolist() == ["isomer changed"]


def test_rows_that_occur_twice(tmp_path: Path) -> None:
    records = [relaxed("a", "mmff94", 5), relaxed("a", "mmff94", 6)]
    with pytest.raises(ComparisonError, match=r"'a'.*twice.*mmff94.*gfn2.*stale shards"):
        compare(tmp_path / "comparison.csv", write_campaign(tmp_path, records))
    assert not (tmp_path / "comparison.csv").exists()


def test_a_baseline_that_nobody_relaxed(tmp_path: Path) -> None:
    folders = write_campaign(tmp_path, [relaxed("a", "uff", 5)])
    with pytest.raises(ComparisonError, match="'mmff94'; the starts here are uff"):
        compare(tmp_path / "comparison.csv", folders)


def test_levels_never_mix_and_other_settings_are_told(tmp_path: Path) -> None:
    other = '{"engine": "tblite", "method": "GFN1-xTB"}'
    folders = write_campaign(tmp_path, [relaxed("a", "mmff94", 5), relaxed("a", "edm", 5, settings=other)])
    with pytest.raises(ComparisonError, match=r'target gfn2: .*method "GFN2-xTB" and "GFN1-xTB"'):
        compare(tmp_path / "comparison.csv", folders)
    newer = '{"engine": "tblite", "method": "GFN2-xTB", "ase": "3.30"}'
    folders = write_campaign(tmp_path, [relaxed("a", "mmff94", 5), relaxed("a", "edm", 5, settings=newer)])
    text = compare(tmp_path / "comparison.csv", folders)
    assert 'target gfn2 differ in their settings: ase null and "3.30"' in text


def test_what_a_force_field_lacks_is_no_other_setting(tmp_path: Path) -> None:
    said = [
        {"verb": "forcefield", "method": "mmff94"},
        {"verb": "forcefield", "method": "uff", "instead_of": "mmff94"},
    ]
    rows = [
        relaxed(id, "mmff94", 9, start_settings=json.dumps(each)) for id, each in zip("ab", said, strict=True)
    ]
    assert "note:" not in compare(tmp_path / "comparison.csv", write_campaign(tmp_path, rows))


@pytest.mark.parametrize("verb", ["diffuse", "displaced"])
def test_models_never_mix_under_one_name(tmp_path: Path, verb: str) -> None:
    key = {"diffuse": "time_model_sha256", "displaced": "set_sha256"}[verb]
    made = [json.dumps({"verb": verb, **said}) for said in ({}, {key: "aa"}, {key: "bb"})]
    rows = [relaxed("a", "mmff94", 9)]
    rows += [relaxed(id, "edm", 5, start_settings=text) for id, text in zip("abc", made, strict=True)]
    rows += [relaxed(id, "mmff94", 9) for id in "bc"]
    compare(tmp_path / "comparison.csv", write_campaign(tmp_path, [*rows[:3], rows[4]]))
    what = "models" if verb == "diffuse" else "sets"
    with pytest.raises(ComparisonError, match=f"start edm: its geometries were made by 2 different {what}"):
        compare(tmp_path / "comparison.csv", write_campaign(tmp_path, rows))


def test_force_fields_never_mix_under_one_target(tmp_path: Path) -> None:
    said = [json.dumps({"engine": "mlff", "method": "m", "weights_sha256": each}) for each in ("aa", "bb")]
    rows = [relaxed("a", "mmff94", 9, settings=said[0]), relaxed("b", "mmff94", 9, settings=said[1])]
    with pytest.raises(ComparisonError, match="target gfn2: its relaxations were made by 2 different models"):
        compare(tmp_path / "comparison.csv", write_campaign(tmp_path, rows))


def test_targets_are_compared_apart(tmp_path: Path) -> None:
    qm9 = '{"engine": "pyscf", "method": "qm9"}'
    folders = write_campaign(tmp_path, [relaxed("a", "mmff94", 9), relaxed("a", "edm", 4)])
    records = [relaxed("a", s, n, target="qm9", settings=qm9) for s, n in (("mmff94", 3), ("edm", 1))]
    folders += write_campaign(tmp_path, records, "qm9")
    text = compare(tmp_path / "comparison.csv", folders)
    assert text.index("target gfn2") < text.index("target qm9")
    frame = read_comparison(tmp_path / "comparison.csv")
    edm = frame[frame["start"] == "edm"].set_index("target")["gradients_saved_percent"]
    assert edm.to_dict() == {"gfn2": 50.0, "qm9": 50.0}


def test_text_names_what_is_left_out(tmp_path: Path) -> None:
    records = [relaxed("a", "mmff94", 9), relaxed("b", "mmff94", 9), relaxed("a", "edm", 4)]
    text = compare(
        tmp_path / "comparison.csv", write_campaign(tmp_path, [*records, not_converged("b", "edm", 9)])
    )
    assert "left out from edm: 1 not converged" in text
    assert "1/2" in text and " 50 " in text and "50 [" not in text


def test_no_rows_at_all(tmp_path: Path) -> None:
    assert compare(tmp_path / "comparison.csv", [], n_shards=0) == "No relaxations to compare."
    assert len(read_comparison(tmp_path / "comparison.csv")) == 0
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 0


def test_read_comparison_refuses_other_files(tmp_path: Path) -> None:
    with pytest.raises(ComparisonError, match="no such file"):
        read_comparison(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("id,start\n1,2\n")
    with pytest.raises(ComparisonError, match="not a comparison"):
        read_comparison(tmp_path / "other.csv")


statuses: st.SearchStrategy[Status] = st.sampled_from(
    ["ok", "not_converged", "scf_failed", "skipped", "timeout"]
)


@st.composite
def relaxations(draw: st.DrawFn, start: str) -> list[Record]:
    records = []
    for id in draw(st.sets(st.sampled_from("abcdef"))):
        status, n_steps = draw(statuses), draw(st.integers(0, 4))
        changes = {
            "status": status,
            "converged": status == "ok",
            "connectivity_unchanged": draw(st.sampled_from([True, False, None])),
            "energy_ev": -10 + draw(st.sampled_from([0.0, 0.005, -0.1, 0.3])),
        }
        records.append(relaxed(id, start, n_steps, **changes))
    return records


@settings(max_examples=30, deadline=None)
@given(relaxations("mmff94"), relaxations("edm"))
def test_every_row_is_counted_or_left_out(baselines: list[Record], others: list[Record]) -> None:
    if not baselines:
        return
    n_rows = len(baselines + others)
    table = as_table([*baselines, *others]).append_column("wall_s_relax", pa.nulls(n_rows, pa.float64()))
    for name in ("level", "optimizer"):
        table = table.append_column(name, pa.array(["GFN2-xTB (tblite)"] * n_rows))
    table = table.append_column("n_gradients_of_start", pa.array([0] * n_rows))
    frame = pair_with_baseline(table.drop_columns(["wall_s", "stages_s"]), MMFF94).to_pandas()
    for name in ("target", "start", "pair", "baseline_status"):
        frame[name] = frame[name].fillna("").astype("category")
    by_id = {record.id: record for record in baselines}

    def good(record: Record) -> bool:
        return record.converged is True and record.connectivity_unchanged is not False

    counted = {r.id for r in others if good(r) and r.id in by_id and good(by_id[r.id])}
    found = frame[(frame["start"] == "edm") & frame["pair"].isin(COUNTED)]
    assert set(found["id"]) == counted
    assert found["gradients_saved_percent"].notna().all()
    assert frame[~frame["pair"].isin(COUNTED)]["gradients_saved_percent"].isna().all()
    summary = summarise(frame, "mmff94")
    whole = summary[summary["subset"] == "all"]
    assert (whole["n_rows"] == whole["n_counted"] + whole["n_left_out"]).all()
    left_out = whole[[name for name in whole if name.startswith("left_out_")]].sum(axis=1)
    assert (left_out == whole["n_left_out"]).all()


WATER_FRAME = (
    '3\nProperties=species:S:1:pos:R:3 pbc="F F F"\n'
    "O 0.00000000 0.00000000 0.00000000\nH 0.96000000 0.00000000 0.00000000\n"
    "H -0.24000000 0.93000000 0.0000000\n"
)


def test_a_hundred_thousand_rows_in_seconds(tmp_path: Path) -> None:
    """Shards of 5 000 rows, given as what `compare` reads of them: the table and the geometries."""
    folders = [tmp_path / "relaxed" / "gfn2" / start for start in ("mmff94", "edm")]
    one = as_table([relaxed("0", "mmff94", 9)])
    for folder in folders:
        folder.mkdir(parents=True)
        for shard in range(10):
            table = pa.concat_tables([one] * 5000).combine_chunks()
            ids = pa.array([f"{shard * 5000 + row:08d}" for row in range(5000)])
            table = table.set_column(0, "id", ids)
            table = table.set_column(
                table.column_names.index("start"), "start", pa.array([folder.name] * 5000)
            )
            write_table(folder / f"{shard:04d}.parquet", table)
            (folder / f"{shard:04d}.extxyz").write_text(5000 * WATER_FRAME)
    began = time.process_time()
    compare(tmp_path / "comparison.csv", folders, n_shards=10)
    assert time.process_time() - began < 30  # 8 on a quick machine, 13 on a slow one
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["start", "subset"])
    assert summary.loc[("edm", "all"), "n_counted"] == 50_000


def test_reads_frames_where_the_table_is_missing(tmp_path: Path) -> None:
    folders = write_campaign(tmp_path, [relaxed("007", "mmff94", 5), relaxed("b", "mmff94", None)])
    whole = read_relaxations(folders)
    (folders[0] / "0000.parquet").unlink()
    assert read_relaxations(folders).to_pylist() == whole.to_pylist()
