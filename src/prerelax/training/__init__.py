"""Training of denoisers. Imports nothing heavy; the work is in `prerelax.training.run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prerelax.training.config import TrainingConfig


def train(
    config: Path | TrainingConfig,
    resume: bool = False,
    max_hours: float | None = None,
    folder: Path | None = None,
) -> None:
    """Train the denoiser that a config, or its YAML file, describes; see `prerelax.training.run.train`."""
    from prerelax.training.config import read_config
    from prerelax.training.run import train as run_training

    run_training(read_config(config) if isinstance(config, Path) else config, resume, max_hours, folder)
