"""What happens beside the gradient steps: averaging, learning rate and budget, checkpoints, exports."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor

from prerelax.denoisers.model_folders import epoch_folder
from prerelax.errors import UserError
from prerelax.networks.batch import Batch
from prerelax.training.config import OptimizationConfig, RunConfig
from prerelax.training.data import EpochStream

LAST_CHECKPOINT = "last.ckpt"


class TrainingProgress(TypedDict):
    """How far a training is: what an exported model records."""

    epochs: float
    steps: int
    hours: float


class ExponentialAverage(WeightAveraging):
    """EMA of the weights after every step; validation and exports use the average.

    Before each validation the loss of the current weights on the same batches is logged as
    `validation/current_loss`, beside the average's `validation/loss`.

    With warm-up the decay is min(`decay`, (1 + n) / (10 + n)) after n updates, without which a short training
    would remember its random initialisation.
    """

    def __init__(self, decay: float, warmup: bool) -> None:
        self.decay = decay
        self.warmup = warmup
        super().__init__(use_buffers=False, multi_avg_fn=self._average)

    @torch.no_grad()
    def _average(
        self, averaged: Sequence[Tensor], current: Sequence[Tensor], n_averaged: int | Tensor
    ) -> None:
        n = float(n_averaged)
        decay = min(self.decay, (1.0 + n) / (10.0 + n)) if self.warmup else self.decay
        torch._foreach_lerp_(list(averaged), list(current), 1.0 - decay)

    def on_validation_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        losses, sizes = [], []
        for index, batch in enumerate(trainer.val_dataloaders or ()):
            losses.append(float(module.validation_loss(batch.to(module.device), index)))
            sizes.append(batch.n_molecules)
        if sizes:
            mean = sum(loss * n for loss, n in zip(losses, sizes, strict=True)) / sum(sizes)
            module.log("validation/current_loss", mean, on_step=False, on_epoch=True)
        super().on_validation_epoch_start(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Leaves the current weights in place, for the checkpoint at the end: exports take the average
        anyway.
        """

    def averaged_state(self) -> dict[str, Tensor]:
        """State dict of the averaged network. Only valid while a fit is running."""
        assert self._average_model is not None
        return {k: v.clone() for k, v in self._average_model.module.network.state_dict().items()}


class Budget(Callback):
    """Learning rate from the used fraction of whatever limit is nearest, and the end when it is used up.

    Wall time is counted over all resumed runs, so that the learning rate reaches its end when the time is up.
    """

    def __init__(self, options: OptimizationConfig, steps_per_epoch: int) -> None:
        self.options = options
        self.steps_per_epoch = steps_per_epoch
        limits = [options.max_steps, options.max_epochs and options.max_epochs * steps_per_epoch]
        given = [limit for limit in limits if limit]
        self.max_steps = min(given) if given else None
        self.max_seconds = None if options.max_hours is None else options.max_hours * 3600.0
        if self.max_steps is None and self.max_seconds is None:
            raise UserError("a training needs a limit: max_epochs, max_steps or max_hours")
        self._seconds_before = 0.0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Training time of all runs so far."""
        return self._seconds_before + time.monotonic() - self._started

    def used(self, step: int) -> float:
        """Fraction of the budget that is used, at most 1."""
        by_steps = step / self.max_steps if self.max_steps else 0.0
        by_time = self.seconds / self.max_seconds if self.max_seconds else 0.0
        return min(1.0, max(by_steps, by_time))

    def learning_rate(self, step: int) -> float:
        options = self.options
        factor = min(1.0, (step + 1) / options.warmup_steps) if options.warmup_steps else 1.0
        if options.decay == "cosine":
            end = options.final_fraction
            factor *= end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * self.used(step)))
        return options.learning_rate * factor

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._started = time.monotonic()
        trainer.should_stop = trainer.should_stop or self.used(trainer.global_step) >= 1.0

    def on_train_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Batch, batch_index: int
    ) -> None:
        rate = self.learning_rate(trainer.global_step)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        module.log("train/learning_rate", rate)

    def on_train_batch_end(self, trainer: L.Trainer, *args: object) -> None:
        if self.used(trainer.global_step) >= 1.0:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, float]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self._seconds_before = float(state["seconds"])
        self._started = time.monotonic()


class Continuation(Callback):
    """Has the training batches of a resumed run go on where the run before stopped."""

    def __init__(self, stream: EpochStream) -> None:
        self.stream = stream

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.stream.seek(trainer.global_step)


class Checkpoints(Callback):
    """Writes `last.ckpt` every few minutes and at the end, and exports averaged weights as model folders.

    A checkpoint appears under its name only when it is whole, so a kill at any moment leaves the one before.
    `export(folder, state, progress)` writes a model folder; progress says epoch, steps and hours.
    """

    def __init__(
        self,
        run: RunConfig,
        folder: Path,
        average: ExponentialAverage,
        budget: Budget,
        export: Callable[[Path, dict[str, Tensor], TrainingProgress], None],
    ) -> None:
        self.run = run
        self.folder = folder
        self.average = average
        self.budget = budget
        self.export = export
        self._last_checkpoint = time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, *args: object) -> None:
        for epoch in self.run.keep_epochs:
            if trainer.global_step == max(1, round(epoch * self.budget.steps_per_epoch)):
                self._export(trainer, self.folder / epoch_folder(epoch))
        if time.monotonic() - self._last_checkpoint >= 60.0 * self.run.checkpoint_minutes:
            self._save(trainer)

    def on_fit_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._save(trainer)

    def _save(self, trainer: L.Trainer) -> None:
        temporary = self.folder / f".{LAST_CHECKPOINT}"
        trainer.save_checkpoint(temporary)
        temporary.replace(self.folder / LAST_CHECKPOINT)
        self._export(trainer, self.folder / "model")
        self._last_checkpoint = time.monotonic()

    def _export(self, trainer: L.Trainer, folder: Path) -> None:
        progress: TrainingProgress = {
            "epochs": round(trainer.global_step / self.budget.steps_per_epoch, 2),
            "steps": trainer.global_step,
            "hours": round(self.budget.seconds / 3600.0, 3),
        }
        self.export(folder, self.average.averaged_state(), progress)
