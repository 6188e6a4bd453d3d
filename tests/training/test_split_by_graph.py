"""Trainings on sets that know their molecular graphs: no graph is in training and validation alike."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from prerelax.datasets.graph_split import split_sets
from prerelax.datasets.qm7x import read_qm7x, write_qm7x
from prerelax.datasets.structures import Structures, read_npz, write_npz
from prerelax.networks import build_network
from prerelax.networks.energy import EnergyNetwork
from prerelax.training.config import read_config
from prerelax.training.energy import labelled_streams
from prerelax.training.run import _split


def test_equilibria_are_set_aside_by_graph(
    tiny_training: Callable[..., Path], small_set: Structures, tmp_path: Path
) -> None:
    config = read_config(tiny_training())
    write_npz(Path(config.data.path), replace(small_set, graphs=small_set.ids.astype(np.int64) // 4))
    training, validation = _split(config, build_network(config.network.model_dump()))
    assert training.graphs is not None and validation.graphs is not None
    assert not set(training.graphs) & set(validation.graphs)
    assert len(validation) == 12 and len(training) == 48  # three whole graphs of four for the ten asked for
    assert sorted([*training.ids, *validation.ids]) == list(range(60))


def test_displaced_structures_are_set_aside_by_graph(
    tiny_training: Callable[..., Path], data_folder: Path, tmp_path: Path
) -> None:
    """From a set as `displace` writes it, through `split`, to the batches of a force field."""
    whole = read_qm7x(data_folder / "qm7x_nonequilibrium_2500.npz").select(np.arange(400))
    origin: dict[str, Any] = {
        "graph": np.arange(400) // 20,
        "equilibrium": np.arange(400) // 10,
        "displacement": np.arange(400) % 10,
    }
    write_qm7x(tmp_path / "set.npz", replace(whole, **origin))
    split_sets([tmp_path / "set.npz"], tmp_path / "split", 0.75)
    path = str(tmp_path / "split" / "training.npz")
    config = read_config(tiny_training(data={"path": path, "format": "qm7x", "validation": 30}))
    network = build_network({"name": "force-field", "elements": [1, 6, 7, 8, 16, 17]})
    assert isinstance(network, EnergyNetwork)
    training, validation = labelled_streams(config, network)
    assert (training.n_molecules, validation.n_molecules) == (260, 40)
    assert not set(training.structures.graphs) & set(validation.structures.graphs)


def test_what_is_set_aside_can_be_had(
    tiny_training: Callable[..., Path], small_set: Structures, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from prerelax.cli import app

    config = tiny_training()
    ran = CliRunner().invoke(app, ["data", "set-aside", str(config), str(tmp_path / "aside.npz")])
    assert ran.exit_code == 0 and ran.output == "10 molecules\n", ran.output
    _, validation = _split(read_config(config), build_network(read_config(config).network.model_dump()))
    assert read_npz(tmp_path / "aside.npz").ids.tolist() == validation.ids.tolist()
