"""The training of `prerelax adapt`: all stages of a network together, by the loss `staged-refinement`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from prerelax.datasets.structures import Structures
from prerelax.denoisers.checkpoint import LoadedModel
from prerelax.denoisers.model_config import ModelConfig
from prerelax.networks import build_network
from prerelax.networks.staged import StagedNetwork
from prerelax.training.callbacks import Budget, Continuation, ExponentialAverage
from prerelax.training.config import OptimizationConfig, StagedLoss, StagedOptions
from prerelax.training.data import BatchStream, MixedStream
from prerelax.training.module import DenoiserModule

BATCH_SIZE = 8
FIRST_STEPS, STEPS_PER_PAIR = 150, 4
VALIDATIONS = 20
PATIENCE = 6
"""Validations without a better one after which the training ends."""
SHORTEST = 0.3
"""Of a training's budget. A handful of molecules set aside may by chance like the first few steps best."""
LEARNING_RATE = 1e-3
MOST_BATCHES = 40
"""Of a validation."""


@dataclass
class Fitted:
    """Averaged weights: those at the end, or the best on the molecules set aside."""

    state: dict[str, Tensor]
    loss: float = float("inf")
    steps: int = 0
    used: float = 0.0
    """the part of the training's budget that was used until then"""


def fit(
    model: LoadedModel,
    pairs: Structures,
    max_minutes: float | None,
    aside: Structures | None = None,
    until: float = 1.0,
) -> Fitted:
    """Train a copy of the model's network; the model itself stays as it is.

    With molecules set aside, the result is what was best on them. Without, the training ends where the part
    `until` of its budget is used, the learning rate as it is then.
    """
    learning = network_of(model.config, model.network.state_dict()).requires_grad_(True).train()
    optimization = OptimizationConfig(
        batch_size=BATCH_SIZE,
        learning_rate=LEARNING_RATE,
        amsgrad=False,
        warmup_steps=20,
        decay="cosine",
        ema_decay=0.99,
        max_steps=FIRST_STEPS + STEPS_PER_PAIR * len(pairs),
        max_hours=None if max_minutes is None else max_minutes / 60.0,
    )
    weights = [0.3] * (len(learning.stages) - 1) + [1.0]
    loss = StagedLoss(options=StagedOptions(weights=weights, error_scale=0.5))
    stream = MixedStream(pairs, BATCH_SIZE, optimization.seed)
    average = ExponentialAverage(optimization.ema_decay, warmup=True)
    budget = Budget(optimization, len(stream))
    found = Fitted(dict(model.network.state_dict()))
    end = _Best(average, budget, found) if aside is not None else _Until(average, budget, found, until)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        logger=False,
        limit_val_batches=None if aside is not None else 0,
        val_check_interval=max((budget.max_steps or 0) // VALIDATIONS, 1),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Continuation(stream), average, budget, end],
    )
    module = DenoiserModule(learning, model.edm_schedule, loss, optimization)
    validation = _one_by_one(pairs if aside is None else aside)  # Lightning warns where there is none
    trainer.fit(module, train_dataloaders=stream, val_dataloaders=validation)
    return found


def _one_by_one(aside: Structures) -> BatchStream:
    """Batches of single molecules, of a few where there are many."""
    return BatchStream(aside, 1 + len(aside) // MOST_BATCHES, bond_graph=True, seed=0, shuffle=False)


def network_of(config: ModelConfig, weights: Mapping[str, Tensor]) -> StagedNetwork:
    """The network in stages of a config, with these weights."""
    network = build_network(config["network"])
    assert isinstance(network, StagedNetwork)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


class _Best(Callback):
    """Keeps the best weights, and ends a training that finds no better ones any more.

    Of the errors the logarithms are averaged: one molecule with an element that is hardly known would
    otherwise decide alone.
    """

    def __init__(self, average: ExponentialAverage, budget: Budget, found: Fitted) -> None:
        self.average, self.budget, self.found, self.waited = average, budget, found, 0

    def on_validation_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        used = self.budget.used(trainer.global_step)
        if used < SHORTEST:
            return
        loss = float(trainer.callback_metrics["validation/log"])
        self.waited += 1
        if loss < self.found.loss:
            self.found.state = self.average.averaged_state()
            self.found.loss, self.found.steps, self.waited = loss, trainer.global_step, 0
            self.found.used = used
        trainer.should_stop = trainer.should_stop or self.waited >= PATIENCE


class _Until(Callback):
    """Ends a training where a part of its budget is used, and keeps its weights."""

    def __init__(self, average: ExponentialAverage, budget: Budget, found: Fitted, until: float) -> None:
        self.average, self.budget, self.found, self.until = average, budget, found, until

    def on_train_batch_end(self, trainer: L.Trainer, *args: object) -> None:
        self.found.steps, self.found.used = trainer.global_step, self.budget.used(trainer.global_step)
        if trainer.should_stop or self.found.used >= self.until:
            trainer.should_stop = True
            self.found.state = self.average.averaged_state()
