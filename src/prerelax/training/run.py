"""One training from its config: data, network, Lightning trainer, resume."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor

from prerelax.datasets.graph_split import held_out
from prerelax.datasets.structures import Structures
from prerelax.denoisers.checkpoint import make_schedule, save_model
from prerelax.errors import UserError
from prerelax.networks import build_network
from prerelax.networks.network import Network
from prerelax.settings import expand_path, model_from
from prerelax.training.beginning import begin_with
from prerelax.training.callbacks import (
    LAST_CHECKPOINT,
    Budget,
    Checkpoints,
    Continuation,
    ExponentialAverage,
    TrainingProgress,
)
from prerelax.training.config import OptimizationConfig, TrainingConfig, read_config
from prerelax.training.data import BatchStream, EpochStream
from prerelax.training.energy import FORMAT as LABELLED
from prerelax.training.energy import labelled_streams
from prerelax.training.module import DenoiserModule
from prerelax.training.training_sets import read_training_set

log = logging.getLogger(__name__)


def train(
    config: TrainingConfig, resume: bool = False, max_hours: float | None = None, folder: Path | None = None
) -> None:
    """Train as the config says, into `folder` or else its `run.folder`.

    Leaves there `last.ckpt` (for `resume`), `model/` (newest averaged weights as a model folder),
    `epoch-NNNN/` for the kept epochs, `logs/` (CSV and TensorBoard). `resume` continues from `last.ckpt`, or
    starts afresh where there is none. `max_hours` replaces the config's own budget.

    Raises UserError for a config that cannot be run, or where a training would be overwritten.
    """
    if max_hours is not None:
        said = config.optimization.model_dump() | {"max_hours": max_hours}
        optimization = model_from(OptimizationConfig, said)
        config = config.model_copy(update={"optimization": optimization})
    _check(config)
    folder = folder or _folder(config)
    checkpoint = folder / LAST_CHECKPOINT
    if checkpoint.exists() and not resume:
        raise UserError(f"{checkpoint} exists: resume that training, or choose another run.folder")
    folder.mkdir(parents=True, exist_ok=True)
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    L.seed_everything(config.optimization.seed, verbose=False)

    network = build_network(config.network.model_dump())
    if config.weights is not None:
        begin_with(network, config.weights)
    training, validation = _streams(config, network)
    module = DenoiserModule(
        network, make_schedule(config.schedule.model_dump()), config.loss, config.optimization
    )
    trainer = _trainer(config, folder, training)
    trainer.fit(
        module,
        train_dataloaders=training,
        val_dataloaders=validation,
        ckpt_path=str(checkpoint) if checkpoint.exists() else None,
        weights_only=True,
    )


def set_aside(config_path: Path) -> Structures:
    """The molecules that the training of a config sets aside for validation.

    Raises UserError for a config or data that cannot be read, and for sets with energies and forces.
    """
    config = read_config(config_path)
    if config.data.format == LABELLED:
        raise UserError(f"{config_path}: sets of format {LABELLED} are split by `prerelax data split`")
    return _split(config, build_network(config.network.model_dump()))[1]


def _folder(config: TrainingConfig) -> Path:
    if config.run.folder is None:
        raise UserError("the key run.folder is missing: say where the training lives, or give --folder")
    return expand_path(config.run.folder)


def _check(config: TrainingConfig) -> None:
    timesteps = make_schedule(config.schedule.model_dump()).timesteps
    last = timesteps if config.loss.max_step is None else config.loss.max_step
    if not 0 <= config.loss.min_step <= last <= timesteps:
        raise UserError(
            f"loss: the steps {config.loss.min_step}…{last} are not within the schedule's 0…{timesteps}"
        )


def _streams(config: TrainingConfig, network: Network) -> tuple[EpochStream, EpochStream]:
    if config.data.format == LABELLED:
        return labelled_streams(config, network)
    training, validation = _split(config, network)
    return _stream(config, network, training, True), _stream(config, network, validation, False)


def _split(config: TrainingConfig, network: Network) -> tuple[Structures, Structures]:
    structures = read_training_set(config.data, network.elements)
    if config.data.validation >= len(structures):
        raise UserError(f"data.validation: {config.data.validation} of {len(structures)} molecules")
    order = np.random.default_rng(config.data.split_seed).permutation(len(structures))
    held = np.isin(np.arange(len(structures)), order[: config.data.validation])
    if structures.graphs is not None:
        held = held_out(structures.graphs, config.data.validation, config.data.split_seed)
    if held.all():
        raise UserError(f"data.validation: {config.data.validation} leaves no molecular graph to train on")
    held_rows, rest = order[held[order]], order[~held[order]][: config.data.limit]
    return structures.select(rest), structures.select(held_rows)


def _stream(config: TrainingConfig, network: Network, part: Structures, shuffle: bool) -> BatchStream:
    optimization = config.optimization
    return BatchStream(part, optimization.batch_size, network.uses_bond_graph, optimization.seed, shuffle)


def _trainer(config: TrainingConfig, folder: Path, training: EpochStream) -> L.Trainer:
    average = ExponentialAverage(config.optimization.ema_decay, config.optimization.ema_warmup)
    budget = Budget(config.optimization, len(training))

    def export(target: Path, state: dict[str, Tensor], progress: TrainingProgress) -> None:
        said = config.to_dict()
        parts = {part: said[part] for part in ("network", "schedule", "sampler")}
        record = {**progress, "n_molecules": training.n_molecules, "config": said}
        save_model(target, state, {**parts, "training": record})

    accelerators = {"auto": "auto", "cpu": "cpu", "cuda": "gpu"}
    return L.Trainer(
        accelerator=accelerators[config.run.device],
        devices=1,
        max_epochs=-1,
        logger=_loggers(folder),
        log_every_n_steps=config.run.log_every_steps,
        val_check_interval=timedelta(minutes=config.run.validate_minutes),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,  # forces are derivatives, in validation too
        callbacks=[
            Continuation(training),
            average,
            budget,
            Checkpoints(config.run, folder, average, budget, export),
        ],
    )


def _loggers(folder: Path) -> list[CSVLogger | TensorBoardLogger]:
    """CSV and TensorBoard in `logs/<run>`, a number for every run: a resumed one keeps the logs before it."""
    version = f"{len(list(folder.glob('logs/*'))):03d}"
    return [logger(folder, name="logs", version=version) for logger in (CSVLogger, TensorBoardLogger)]
