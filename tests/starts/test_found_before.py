"""Minima that a denoiser learned from, as starts of their molecules."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from prerelax.records.record import Record
from prerelax.records.shard import write_shard
from prerelax.starts.found_before import minima_known

GFN1 = json.dumps({"engine": "tblite", "method": "GFN1-xTB"})
POSITIONS = np.array([[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]])
START = Record("1", np.array([8, 1, 1]), POSITIONS, smiles="[O:1]([H:2])[H:3]", stages_s={"mmff94": 1.0})


def test_a_minimum_is_taken_with_what_it_took(tmp_path: Path) -> None:
    relaxed = replace(
        START,
        positions=POSITIONS * 1.01,
        target="gfn1",
        converged=True,
        connectivity_unchanged=True,
        n_gradients=9,
        n_gradients_check=2,
        settings=GFN1,
        stages_s={"mmff94": 1.0, "gfn1": 5.0},
    )
    others = [
        replace(relaxed, id="2", converged=False),
        replace(relaxed, id="3", connectivity_unchanged=False),
        replace(START, id="4", status="skipped"),
    ]
    write_shard(tmp_path / "0.extxyz", [relaxed, *others])
    records = [replace(START, id=each) for each in "12345"]
    found = minima_known(records, [tmp_path / "0.extxyz"], "mine")
    assert list(found) == [0]
    np.testing.assert_allclose(found[0].positions, POSITIONS * 1.01, atol=1e-6)
    assert found[0].gradients_of_levels == {"GFN1-xTB (tblite)": 11}
    assert found[0].start == "mine" and found[0].stages_s == {"mmff94": 1.0, "gfn1": 5.0}
    assert found[0].target is None and found[0].n_gradients is None, "a start is no relaxation"
    assert not minima_known([replace(START, status="embed_failed")], [tmp_path / "0.extxyz"], "mine")
