"""Trainings of seconds, run for real: what they leave behind, and what a killed one does when resumed."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from prerelax.datasets.structures import Structures
from prerelax.denoisers.checkpoint import load_model
from prerelax.errors import UserError
from prerelax.networks import build_network
from prerelax.training import train
from prerelax.training.beginning import begin_with

TrainingConfig = Callable[..., Path]


def _losses(folder: Path) -> dict[int, float]:
    """Training loss by step, over all logs of a run folder."""
    found = {}
    for path in sorted(folder.glob("logs/**/metrics.csv")):
        with path.open() as rows:
            for row in csv.DictReader(rows):
                if row.get("train/loss"):
                    found[int(row["step"])] = float(row["train/loss"])
    return found


def test_training_learns_and_leaves_a_model(tiny_training: TrainingConfig, tmp_path: Path) -> None:
    config = tiny_training(optimization={"max_steps": 400}, run={"keep_epochs": [1, 3]})
    train(config)
    folder = tmp_path / "run"
    losses = _losses(folder)
    assert np.mean([losses[step] for step in range(380, 400)]) < 0.8 * np.mean([losses[s] for s in range(20)])
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == [
        "epoch-0001",
        "epoch-0003",
        "logs",
        "model",
    ]
    assert list(folder.glob("logs/**/events.out.tfevents*"))
    model = load_model(folder / "model")
    assert model.elements == (6, 8)
    record = yaml.safe_load((folder / "model/config.yaml").read_text())["training"]
    assert record["steps"] == 400
    epochs = [yaml.safe_load((folder / f"epoch-000{i}/config.yaml").read_text()) for i in (1, 3)]
    assert [kept["training"]["epochs"] for kept in epochs] == [1.0, 3.0]


def test_resumed_training_repeats_the_uninterrupted_one(
    tiny_training: TrainingConfig, tmp_path: Path
) -> None:
    train(tiny_training("whole", optimization={"max_steps": 30, "decay": "constant"}))
    train(tiny_training("parts", optimization={"max_steps": 17, "decay": "constant"}))
    parts = tiny_training("parts", optimization={"max_steps": 30, "decay": "constant"})
    with pytest.raises(UserError, match="resume that training"):
        train(parts)
    train(parts, resume=True)
    whole, resumed = (load_model(tmp_path / name / "model").network for name in ("whole", "parts"))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=1e-5, atol=1e-6)
    for step, loss in _losses(tmp_path / "whole").items():
        assert _losses(tmp_path / "parts")[step] == pytest.approx(loss, rel=1e-4)


def test_killed_training_resumes_from_its_checkpoint(tiny_training: TrainingConfig, tmp_path: Path) -> None:
    endless = {"max_steps": 10_000_000, "decay": "constant"}
    config = tiny_training(optimization=endless, run={"checkpoint_minutes": 0.01})
    call = f"from pathlib import Path; from prerelax.training import train; train(Path({str(config)!r}))"
    with subprocess.Popen(
        [sys.executable, "-c", call], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        checkpoint = tmp_path / "run/last.ckpt"
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    done = torch.load(checkpoint, weights_only=True)["global_step"]
    assert done > 0
    train(tiny_training(optimization={"max_steps": done + 5, "decay": "constant"}), resume=True)
    record = yaml.safe_load((tmp_path / "run/model/config.yaml").read_text())["training"]
    assert record["steps"] == done + 5


def test_hours_end_a_training_and_its_learning_rate(tiny_training: TrainingConfig, tmp_path: Path) -> None:
    began = time.monotonic()
    train(tiny_training(optimization={"max_steps": None}), max_hours=2.0 / 3600)
    assert time.monotonic() - began < 30
    with next((tmp_path / "run").glob("logs/**/metrics.csv")).open() as rows:
        rates = [
            float(row["train/learning_rate"]) for row in csv.DictReader(rows) if row["train/learning_rate"]
        ]
    assert max(rates) == rates[0] == pytest.approx(1e-2, rel=0.02)
    assert rates[-1] < 0.05 * rates[0]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"loss": {"name": "noisy"}}, "did you mean noise"),
        ({"loss": {"max_step": 101}}, "not within the schedule's 0…100"),
        ({"loss": {"min_step": 11}}, "not within"),
        ({"network": {"n_layer": 1}}, "did you mean n_layers"),
        ({"data": {"path": "absent.npz"}}, r"absent\.npz"),
        ({"data": {"format": "cif"}}, "data.format must be npz"),
        ({"data": {"elements": [9]}}, "no molecule is left"),
        ({"data": {"validation": 60}}, "data.validation"),
        ({"optimization": {"max_steps": None}}, "needs a limit"),
        ({"optimization": {"decay": "linear"}}, "decay must be"),
        ({"optimization": {"gradient_clip": "norm"}}, "gradient_clip must be"),
    ],
)
def test_configs_that_cannot_run_are_named(
    parts: dict[str, dict[str, object]], message: str, tiny_training: TrainingConfig
) -> None:
    with pytest.raises(UserError, match=message):
        train(tiny_training(**parts))


def test_excluded_ids_are_never_trained_on(tiny_training: TrainingConfig, tmp_path: Path) -> None:
    from prerelax.training.config import read_config
    from prerelax.training.training_sets import read_training_set

    (tmp_path / "held-out.txt").write_text("3 CCO\n17\nnot an id\n")
    config = read_config(tiny_training(data={"exclude": [str(tmp_path / "held-out.txt")]}))
    ids = set(read_training_set(config.data, (6, 8)).ids.tolist())
    assert ids == set(range(60)) - {3, 17}


def test_evaluation_sets_do_not_overlap_with_the_training_set(data_folder: Path, repository: Path) -> None:
    from prerelax.datasets.structures import read_npz
    from prerelax.training.config import read_config
    from prerelax.training.training_sets import read_training_set

    config = read_config(repository / "config/training/edm-qm9-small.yaml")
    trained: Structures = read_training_set(config.data, (1, 6, 7, 8))
    for name in ("qm9_val.npz", "qm9_small_test.npz"):
        assert not np.isin(trained.ids, read_npz(data_folder / name).ids).any()


def test_training_needs_only_what_a_gpu_machine_has() -> None:
    absent = ["ase", "pandas", "pyarrow", "pyscf", "rdkit", "tblite", "typer", "e3nn"]
    code = (
        f"import sys\nfor name in {absent}:\n    sys.modules[name] = None\n"
        "import prerelax.training.run, prerelax.diffusion.samplers, prerelax.networks.egnn\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_elements_that_the_weights_never_met_begin_as_the_mean_of_the_known() -> None:
    """From random rows the first loss of a molecule with chlorine is above 1e9, or not a number."""
    options = {"name": "morered-noise", "n_features": 64, "n_interactions": 3, "bond_graph": True}
    network = build_network({**options, "elements": [1, 6, 7, 8, 17, 53]})
    begin_with(network, "relaxer-qm9-small")
    table = network.representation.embedding.weight.detach()
    known = load_model("relaxer-qm9-small").network.representation.embedding.weight[[1, 6, 7, 8]]
    torch.testing.assert_close(table[[1, 6, 7, 8]], known)
    torch.testing.assert_close(table[[17, 53]], known.mean(dim=0).expand(2, -1))


def test_stages_that_the_weights_lack_begin_as_the_last() -> None:
    begun = load_model("relaxer-drugs-small")
    options = begun.config["network"]
    network = build_network({**options, "steps": [*options["steps"], 12]})
    begin_with(network, "relaxer-drugs-small")
    found, known = network.state_dict(), begun.network.state_dict()
    for name, tensor in known.items():
        torch.testing.assert_close(found[name], tensor)
    for name in (name for name in found if name not in known):
        torch.testing.assert_close(found[name], known[name.replace("stages.2.", "stages.1.")])
    assert len(found) == len(known) * 3 // 2


def test_stages_do_not_begin_as_a_model_without_them() -> None:
    network = build_network(load_model("relaxer-drugs-small").config["network"])
    with pytest.raises(UserError, match=r"edm-qm9-small is not in stages.*models join"):
        begin_with(network, "edm-qm9-small")
