"""MoreRed's generation and time steps through Snakemake, with a network that has learned next to nothing."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

TRAINING: dict[str, Any] = {
    "network": {"name": "morered-joint", "elements": [1, 6, 7, 8], "n_features": 16},
    "schedule": {"kind": "morered", "timesteps": 40},
    "loss": {"name": "morered-joint"},
    "optimization": {"batch_size": 32, "learning_rate": 1e-3, "max_steps": 10},
    "run": {"folder": "unused", "threads": 1, "device": "cpu"},
}


@pytest.mark.slow
def test_a_campaign_of_generation_alone_makes_its_figures(
    tmp_path: Path, data_folder: Path, snakemake: Any
) -> None:
    data = data_folder.resolve()
    small = str(data / "qm9_small_test.npz")
    training = TRAINING | {"data": {"path": str(data / "qm9_train.npz"), "validation": 50, "limit": 256}}
    (tmp_path / "training.yaml").write_text(yaml.safe_dump(training))
    from_noise = {
        "runs": {
            "fixed": {"model": "generator", "sampler": "ddpm"},
            "adaptive": {"model": "generator", "sampler": "jt", "max_iterations": 30},
        },
        "compositions": {"small": {"like": small, "molecules": 5}},
        "known": [small],
        "limits": [10, 30],
        "shard_size": 3,
        "pictures": 4,
    }
    config = {
        "campaign": "generation",
        "molecules": small,
        "targets": {},
        "denoisers": {"generator": "training.yaml"},
        "studies": {
            "from_noise": from_noise,
            "schedules": {
                "model": "generator",
                "structures": small,
                "molecules": 3,
                "steps": [5],
                "max_iterations": 20,
            },
            "shells": {"model": "generator", "structures": small, "molecules": 5, "points": 4},
        },
    }
    done = snakemake(config)
    assert done.returncode == 0, done.stderr
    results = tmp_path / "results/generation"
    names = ["generation", "generation_limits_small", "schedules", "shells"]
    names += [f"generated_small_{run}" for run in ("fixed", "adaptive")]
    for name in names:
        for kind in ("png", "pdf", "csv"):
            assert (results / f"figures/{name}.{kind}").stat().st_size > 0
    numbers = pd.read_csv(results / "figures/generation_numbers.csv")
    assert set(numbers["n"]) == {5} and set(numbers["run"]) == {"fixed", "adaptive"}
    judged = pd.read_csv(results / "from_noise/small/fixed/judged.csv")
    assert judged.loc[judged["limit"] == 0, "iterations"].tolist() == [40] * 5
    assert not (results / "comparison.csv").exists()

    relaxer = from_noise | {"runs": {"adaptive": {"model": "morered-jt-qm9-small", "sampler": "jt"}}}
    again = snakemake(config | {"campaign": "relaxer", "studies": {"from_noise": relaxer}}, "--keep-going")
    assert again.returncode != 0
    log = (tmp_path / "results/relaxer/logs/from_noise/small/adaptive/000000.log").read_text()
    assert "needs the bonds of a known molecule" in log and "Traceback" not in log
