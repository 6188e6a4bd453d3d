"""The parts of a model folder's `config.yaml`, as they are stored."""

from typing import TypedDict


class SamplerDefaults(TypedDict, total=False):
    """`sampler`: what a sampler does where it is not told."""

    name: str
    steps: int
    """step n at which the reverse diffusion is entered"""
    calls: int
    """network calls of the sampler `few`"""
    max_iterations: int
    """of MoreRed's samplers"""
    convergence_step: int
    """of MoreRed's samplers: the step at which a molecule has arrived"""


class Confidence(TypedDict, total=False):
    """`confidence`: up to which residual a model is trusted (`prerelax.diffusion.confidence`)."""

    judge: str
    """the reference model, whose residual counts; absent: the model itself"""
    limit_ang: float
    median_ang: float
    quantile_99_ang: float
    median_atoms: int
    n_molecules: int


class TrainedLoss(TypedDict, total=False):
    """What of a training's loss is asked for later."""

    max_step: int | None
    """last step of the schedule that the training drew; None: all"""


class TrainedWith(TypedDict, total=False):
    """What of a training's config is asked for later."""

    loss: TrainedLoss


class TrainingRecord(TypedDict, total=False):
    """`training`: where the weights come from."""

    config: TrainedWith
    stages: list["TrainingRecord | None"]
    """those of a model in stages"""


class ModelConfig(TypedDict, total=False):
    """`config.yaml` of a model folder. Networks and schedules know their own options."""

    network: dict[str, object]
    schedule: dict[str, object]
    sampler: SamplerDefaults
    confidence: Confidence
    training: TrainingRecord
