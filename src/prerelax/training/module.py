"""The Lightning module: loss of one batch, optimizer, clipping."""

from __future__ import annotations

import math
import warnings
from collections import deque

import lightning as L
import torch
from torch import Tensor, nn

from prerelax.denoisers.checkpoint import Schedule
from prerelax.errors import UserError
from prerelax.networks.batch import Batch
from prerelax.training.config import LossConfig, OptimizationConfig
from prerelax.training.losses import LOSSES

RECENT_NORMS = 50
_OF_LIGHTNING = r"`isinstance\(treespec, LeafSpec\)` is deprecated"
"""What torch warns of in Lightning's own code; nobody who trains can do anything about it."""
warnings.filterwarnings("ignore", message=_OF_LIGHTNING)
LARGEST_LOSS = 1e10


class DenoiserModule(L.LightningModule):
    """Trains `network` on a loss of `prerelax.training.losses`. All randomness follows from seed and step."""

    def __init__(
        self, network: nn.Module, schedule: Schedule, loss: LossConfig, optimization: OptimizationConfig
    ) -> None:
        super().__init__()
        self.network = network
        self.schedule = schedule
        self.loss_function = LOSSES[loss.name]
        self.loss_options = loss.options
        self.steps = (loss.min_step, schedule.timesteps if loss.max_step is None else loss.max_step)
        self.optimization = optimization
        self.clipper = GradientClipper(optimization.gradient_clip)

    def forward(self, batch: Batch, time: Tensor) -> Tensor:
        predicted: Tensor = self.network(batch, time)
        return predicted

    def training_step(self, batch: Batch, batch_index: int) -> Tensor | None:
        # A stream of its own for every step: a resumed run draws what the uninterrupted one would have drawn.
        losses = self._losses(batch, self.optimization.seed, self.global_step)
        self._log("train", losses, batch)
        # Not a number either: the batch is skipped, as MoreRed's code does.
        return losses["loss"] if bool(losses["loss"] <= LARGEST_LOSS) else None

    def validation_step(self, batch: Batch, batch_index: int) -> Tensor:
        losses = self._validation_losses(batch, batch_index)
        self._log("validation", losses, batch)
        return losses["loss"]

    def validation_loss(self, batch: Batch, batch_index: int) -> Tensor:
        """The loss of `validation_step` with the weights as they are now, not logged."""
        with torch.no_grad():
            return self._validation_losses(batch, batch_index)["loss"]

    def _validation_losses(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        return self._losses(batch, self.optimization.seed + 1, batch_index)

    def _losses(self, batch: Batch, seed: int, step: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
        return self.loss_function(
            self.network, batch, self.schedule, self.steps, generator, self.loss_options
        )

    def _log(self, stage: str, losses: dict[str, Tensor], batch: Batch) -> None:
        validating = stage == "validation"
        for name, value in losses.items():
            self.log(
                f"{stage}/{name}",
                value.detach(),
                on_step=not validating,
                on_epoch=validating,
                batch_size=batch.n_molecules,
            )

    def configure_optimizers(self) -> torch.optim.Optimizer:
        options = self.optimization
        return torch.optim.AdamW(
            self.network.parameters(),
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            amsgrad=options.amsgrad,
        )

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, *args: object, **kwargs: object
    ) -> None:
        norm = self.clipper(self.network)
        self.log("train/gradient_norm", norm, on_step=True)

    def on_save_checkpoint(self, checkpoint: dict[str, list[float]]) -> None:
        checkpoint["recent_gradient_norms"] = list(self.clipper.recent)

    def on_load_checkpoint(self, checkpoint: dict[str, list[float]]) -> None:
        self.clipper.recent.extend(checkpoint["recent_gradient_norms"])


class GradientClipper:
    """Clips by a fixed norm, or like EDM by 1.5 mean + 2 std of the recent norms (which enter clipped).

    `rule` is `edm`, a norm, or 0 for none. A gradient that is not finite is set to zero.
    Raises UserError for any other rule.
    """

    def __init__(self, rule: str | float) -> None:
        if rule != "edm" and (isinstance(rule, str) or rule < 0):
            raise UserError(f"gradient_clip must be edm or a norm of at least 0, not {rule!r}")
        self.rule = rule
        self.recent: deque[float] = deque(
            [3000.0], maxlen=RECENT_NORMS
        )  # EDM's first entry: no clipping at first

    @property
    def limit(self) -> float:
        if isinstance(self.rule, str):
            norms = torch.tensor(list(self.recent), dtype=torch.float64)
            return 1.5 * float(norms.mean()) + 2.0 * float(norms.std(correction=0))
        return float(self.rule) or math.inf

    def __call__(self, network: nn.Module) -> float:
        """Clip the gradients in place; returns their norm before clipping."""
        limit = self.limit
        parameters = [p for p in network.parameters() if p.grad is not None]
        if not parameters:  # a skipped batch
            return 0.0
        norm = float(nn.utils.clip_grad_norm_(parameters, limit))
        if not math.isfinite(norm):
            for parameter in parameters:
                parameter.grad = None
            return norm
        self.recent.append(min(norm, limit))
        return norm
