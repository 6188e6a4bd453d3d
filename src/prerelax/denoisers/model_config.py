"""The parts of a model folder's `config.yaml`, as they are stored."""

from collections.abc import Mapping
from typing import TypedDict


class SamplerDefaults(TypedDict, total=False):
    """`sampler`: defaults of the model's sampler."""

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
    """`confidence`: the residual up to which a model is trusted (`prerelax.diffusion.confidence`)."""

    judge: str
    """the reference model, whose residual counts; absent: the model itself"""
    limit_ang: float
    median_ang: float
    quantile_99_ang: float
    median_atoms: int
    n_molecules: int
    energy_factor: float
    """of the energy left (`prerelax.diffusion.energy_left`)"""


class Knows(TypedDict, total=False):
    """`knows`: the molecules and the level that a model is for, beside the elements of its network."""

    level: str
    """as `prerelax.records.settings.level_name` says it"""
    charges: list[int]
    """of molecules that it was trained on; absent: neutral ones"""
    max_atoms: int
    """of the largest molecule that it was trained on"""
    given: str
    """the method whose minima it begins at; absent: any geometry near a minimum"""
    bond_mae_ang: float
    """mean error of bonds that its card gives, at its level"""


class TrainedLoss(TypedDict, total=False):
    """The part of a training's loss that is read later."""

    max_step: int | None
    """last step of the schedule that the training drew; None: all"""


class TrainedWith(TypedDict, total=False):
    """The part of a training's config that is read later."""

    loss: TrainedLoss


class TrainingRecord(TypedDict, total=False):
    """`training`: where the weights come from."""

    config: TrainedWith
    stages: list["TrainingRecord | None"]
    """those of a model in stages"""
    adapted: Mapping[str, object]
    """of an adapted model: `prerelax.training.adapting.Adaptation`"""


class ModelConfig(TypedDict, total=False):
    """`config.yaml` of a model folder. Networks and schedules know their own options."""

    network: dict[str, object]
    schedule: dict[str, object]
    sampler: SamplerDefaults
    confidence: Confidence
    knows: Knows
    training: TrainingRecord
