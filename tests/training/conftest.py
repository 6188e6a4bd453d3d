"""A set of a few molecules and a training of a few seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from prerelax.datasets.structures import Structures, collect, write_npz


@pytest.fixture(scope="session")
def small_set() -> Structures:
    """Zigzag chains of 4 to 6 atoms, all alike, so that there is something to learn in seconds."""
    rng = np.random.default_rng(0)
    molecules = []
    for identifier in range(60):
        n = int(rng.integers(4, 7))
        chain = np.stack([1.3 * np.arange(n), 0.5 * (np.arange(n) % 2), np.full(n, identifier)], axis=1)
        molecules.append((identifier, rng.choice([6, 8], size=n), chain))
    return collect(molecules)


@pytest.fixture
def tiny_training(tmp_path: Path, small_set: Structures) -> Callable[..., Path]:
    """Writes the set and a config whose parts the arguments change; returns the config's path."""

    def write(name: str = "run", **parts: dict[str, Any]) -> Path:
        data = tmp_path / "set.npz"
        if not data.exists():
            write_npz(data, small_set)
        config: dict[str, Any] = {
            "network": {
                "name": "egnn",
                "elements": [6, 8],
                "n_layers": 1,
                "n_features": 16,
                "types": "fixed",
                "bond_graph": True,
            },
            "schedule": {"timesteps": 100},
            "data": {"path": str(data), "validation": 10},
            "loss": {"max_step": 10},
            "optimization": {
                "batch_size": 8,
                "learning_rate": 1e-2,
                "max_steps": 30,
                "decay": "cosine",
                "ema_decay": 0.9,
            },
            "run": {
                "folder": str(tmp_path / name),
                "checkpoint_minutes": 1000,
                "threads": 1,
                "device": "cpu",
                "log_every_steps": 1,
            },
        }
        for part, values in parts.items():
            config[part] = {**config.get(part, {}), **values}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    return write
