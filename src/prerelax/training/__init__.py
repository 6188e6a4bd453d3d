"""Training of denoisers. Imports nothing heavy; the work is in `prerelax.training.run`."""

from __future__ import annotations

from pathlib import Path


def train(
    config_path: Path, resume: bool = False, max_hours: float | None = None, folder: Path | None = None
) -> None:
    """Train the denoiser that the YAML config describes; see `prerelax.training.run.train`."""
    from prerelax.training.run import train as run_training

    run_training(config_path, resume, max_hours, folder)
