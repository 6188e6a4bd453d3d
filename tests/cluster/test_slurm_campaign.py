"""The chain from SMILES to figures, every job through SLURM."""

from pathlib import Path

import pandas as pd
import pytest
from slurm_campaign import Cluster

pytestmark = pytest.mark.cluster


def tables(folder: Path) -> list[pd.DataFrame]:
    comparison = pd.read_csv(folder / "results/tiny/comparison.csv", dtype={"id": str})
    relaxed = pd.read_parquet(folder / "results/tiny/relaxed/gfn2/mmff94/0000.parquet")
    return [
        table.drop(columns=[name for name in table if "wall_s" in name or name == "stages_s"])
        for table in (comparison, relaxed)
    ]


def test_a_campaign_through_slurm_gives_the_local_tables(cluster: Cluster, finished: Path) -> None:
    cluster.config = {
        **cluster.config,
        "starts": {
            "mmff94": {"kind": "forcefield"},
            "edm-few": {"kind": "diffuse", "model": "edm-qm9-small", "sampler": "few", "steps": 20},
        },
    }
    assert cluster.run(seconds=500) == 0, cluster.log
    states = cluster.states()
    assert len(states) == len(cluster.jobs) and set(states.values()) == {"COMPLETED"}
    for expected, found in zip(tables(finished), tables(cluster.folder), strict=True):
        found = found[found.start == "mmff94"].reset_index(drop=True)
        pd.testing.assert_frame_equal(expected, found)
