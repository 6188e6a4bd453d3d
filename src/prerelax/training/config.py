"""The YAML config of a training as typed models. Imports no torch: a campaign's workflow reads it too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from prerelax.diffusion.options import Device, Sampler
from prerelax.errors import UserError
from prerelax.settings import Settings, expand_path, read_settings, sentences


def _number(value: object) -> object:
    """YAML 1.1 reads 1e-4, which has no dot, as a string."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


Number = Annotated[float, BeforeValidator(_number)]


class Part(Settings):
    """A part of a training's config. Types are kept to: `true` is no number, `"3"` no whole one."""

    model_config = ConfigDict(strict=True)


class AsWritten(Part):
    """A part that a record repeats as it was written, without the defaults that it leaves out."""

    @model_serializer(mode="wrap")
    def _as_written(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        whole: dict[str, object] = serialize(self)
        return {key: value for key, value in whole.items() if key in self.model_fields_set}


class DataConfig(Part):
    """The equilibrium structures that are learned from.

    `$NAME` and `${NAME:-default}` in paths are expanded.
    """

    path: str | None = Field(None, description="File or folder of the structures; or else `set`")
    set: str | None = Field(None, description="In a campaign: one of its `sets`, instead of `path`")
    format: Literal["npz", "xyz", "sdf", "qm7x"] = Field(
        "npz", description="npz: a set of minima; qm7x: npz with energies and forces"
    )
    elements: list[int] | None = Field(
        None, description="Atomic numbers; other molecules are left out. Default: the network's elements"
    )
    exclude: list[str] = Field(
        default_factory=list, description="npz or text files; molecules with their ids are never trained on"
    )
    unlike: list[str] = Field(
        default_factory=list,
        description="npz sets or molecule files; molecules whose graph one of theirs has are never trained "
        "on; a campaign adds its own molecules",
    )
    validation: int = Field(1000, description="Molecules set aside for validation, or structures of qm7x")
    split_seed: int = Field(0, description="Random seed by which the molecules for validation are chosen")
    limit: int | None = Field(None, description="Train on this many molecules only. Default: all")

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if (self.path is None) == (self.set is None):
            raise ValueError("give either path or set" if self.path else "the key path is missing")
        return self

    @property
    def files(self) -> list[Path]:
        """All that is read, but for a campaign's set. Raises UserError for a variable that is not set."""
        named = (self.path, *self.exclude, *self.unlike)
        return [expand_path(each) for each in named if each is not None]

    @property
    def file(self) -> Path:
        """Where the structures are. Raises UserError for a set, which its campaign alone can find."""
        if self.path is None:
            raise UserError(f"data.set: {self.set} is a set of a campaign, whose workflow trains on it")
        return expand_path(self.path)


class NoOptions(AsWritten):
    """This loss has no options."""


class RefinementOptions(AsWritten):
    """How the batches of the loss `refinement` are mixed from force-field minima and Gaussian noise."""

    start_step: int = Field(50, description="Step of the schedule that force-field minima are taken for")
    start_share: Number = Field(0.6, description="Part of the molecules that begin at a force-field minimum")
    second_step: int = Field(12, description="Step that the network's own results are taken for")
    second_share: Number = Field(
        0.2, description="Part of the batches that begin at the network's own results"
    )
    noise_weight: Number = Field(0.5, description="Weight of EDM's loss, where the noise is Gaussian")


class StagedOptions(AsWritten):
    """How the loss `staged-refinement` counts the stages of a network `staged`."""

    weights: list[Annotated[Number, Field(ge=0, allow_inf_nan=False)]] = Field(
        [0.25, 0.25, 1.0], description="Of the errors after each stage; a stage of weight 0 is not trained"
    )
    error_scale: Number = Field(
        0.33, description="Size of an error that counts by its square, in those of the loss refinement"
    )

    @field_validator("weights")
    @classmethod
    def _some_stage_is_trained(cls, weights: list[float]) -> list[float]:
        if not any(weights):
            raise ValueError("no stage is trained: give at least one of them a weight above 0")
        return weights


class JointOptions(AsWritten):
    """Weights of the two errors of MoreRed-JT."""

    noise_weight: Number = 0.9
    time_weight: Number = 0.1


class EnergyOptions(AsWritten):
    """Weights of the two errors of a force field; the defaults are SchNetPack's."""

    energy_weight: Number = Field(0.01, description="of squared errors in eV²")
    forces_weight: Number = Field(0.99, description="of squared errors in eV²/Å²")


class _Loss(Part):
    min_step: int = Field(0, ge=0, description="Smallest step of the schedule that is drawn")
    max_step: int | None = Field(None, description="Largest step that is drawn. Default: the schedule's last")


class PlainLoss(_Loss):
    """Squared errors of the noise, EDM's (`noise`) or MoreRed's, or of MoreRed's time."""

    name: Literal["noise", "morered-noise", "morered-time"] = "noise"
    options: NoOptions = NoOptions()


class RefinementLoss(_Loss):
    """Errors of interatomic distances, for starts as a relaxer meets them."""

    name: Literal["refinement"] = "refinement"
    options: RefinementOptions = RefinementOptions()


class StagedLoss(_Loss):
    """Errors of interatomic distances after each stage of a network `staged`; no noise is drawn."""

    name: Literal["staged-refinement"] = "staged-refinement"
    options: StagedOptions = StagedOptions()


class JointLoss(_Loss):
    """Squared errors of noise and time together."""

    name: Literal["morered-joint"] = "morered-joint"
    options: JointOptions = JointOptions()


class EnergyLoss(_Loss):
    """Squared errors of energies and forces; no noise is drawn."""

    name: Literal["energy-forces"] = "energy-forces"
    options: EnergyOptions = EnergyOptions()


def name(loss: object) -> object:
    """The name that chooses among the losses; without one it is EDM's."""
    return loss.get("name", "noise") if isinstance(loss, dict) else getattr(loss, "name", None)


LossConfig = Annotated[
    Annotated[PlainLoss, Tag("noise")]
    | Annotated[PlainLoss, Tag("morered-noise")]
    | Annotated[PlainLoss, Tag("morered-time")]
    | Annotated[RefinementLoss, Tag("refinement")]
    | Annotated[StagedLoss, Tag("staged-refinement")]
    | Annotated[JointLoss, Tag("morered-joint")]
    | Annotated[EnergyLoss, Tag("energy-forces")],
    Discriminator(name),
]
"""What is learned."""


class OptimizationConfig(Part):
    """AdamW, its learning rate, and when the training ends.

    Of `max_epochs`, `max_steps` and `max_hours` the first limit that is reached ends it; one is needed.
    """

    batch_size: int = Field(64, ge=1, description="Molecules of one gradient step")
    learning_rate: Number = Field(1e-4, ge=0)
    weight_decay: Number = Field(1e-12, ge=0)
    amsgrad: bool = Field(True, description="The variant AMSGrad of AdamW")
    warmup_steps: int = Field(0, ge=0, description="Steps over which the learning rate rises linearly from 0")
    decay: Literal["constant", "cosine"] = Field(
        "constant",
        description="cosine: the learning rate falls to `final_fraction` of itself as the budget is used up",
    )
    final_fraction: Number = 1e-3
    gradient_clip: Literal["edm"] | Annotated[Number, Field(ge=0)] = Field(
        "edm", description="edm: 1.5 mean + 2 std of the recent norms; a number: that norm; 0: no clipping"
    )
    ema_decay: Number = Field(0.9999, description="Of the exponential moving average of the weights")
    ema_warmup: bool = Field(
        True,
        description="Forget faster in the beginning: decay (1 + n) / (10 + n) until it reaches ema_decay",
    )
    max_epochs: int | None = Field(None, description="Limit: passes over the training set")
    max_steps: int | None = Field(None, description="Limit: gradient steps")
    max_hours: Number | None = Field(None, gt=0, description="Limit: hours, counted over all resumed runs")
    seed: int = Field(0, description="Random seed of weights, batches and noise")


class RunConfig(Part):
    """Where a training lives and what it leaves behind."""

    folder: str | None = Field(
        None, description="Where checkpoints, models and logs lie; a campaign's trainings need none"
    )
    checkpoint_minutes: Number = Field(5.0, description="Minutes between checkpoints")
    validate_minutes: Number = Field(10.0, gt=0, description="Minutes between validations")
    log_every_steps: int = Field(50, ge=1, description="Steps between entries of the log")
    keep_epochs: list[Number] = Field(
        default_factory=list,
        description="Epochs, or parts of one, whose averaged weights are kept as model folders: "
        "`epoch-0004`, `epoch-0.25`",
    )
    threads: int | None = Field(None, description="CPU threads. Default: torch's choice")
    device: Device = Field("auto", description="auto: a GPU if there is one")


class ScheduleConfig(AsWritten):
    """How much noise each step of the diffusion has."""

    kind: Literal["polynomial", "morered"] = Field("polynomial", description="EDM's schedule, or MoreRed's")
    timesteps: int = Field(1000, description="Number of steps T")
    precision: Number = Field(1e-5, description="Smallest and largest parts of noise, for numerical safety")
    power: Number = Field(2.0, description="Exponent of the step in the schedule's polynomial")


class SamplerDefaults(AsWritten):
    """What a model is sampled with where nobody asks for anything else."""

    name: Sampler | None = None
    steps: int | None = Field(None, description="Step at which the reverse diffusion is entered")
    calls: int | None = Field(None, description="Network calls of the sampler few")
    max_iterations: int | None = Field(None, description="Largest number of iterations of itp, as and jt")
    convergence_step: int | None = Field(None, description="Predicted step at which itp, as and jt end")


class NetworkConfig(Part):
    """The network: its name, and beside it the options that the network itself knows and checks."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    name: Literal["egnn", "force-field", "morered-joint", "morered-noise", "morered-time", "staged"]


class TrainingConfig(Part):
    """Everything that one training needs to know."""

    network: NetworkConfig
    data: DataConfig
    run: RunConfig = RunConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    loss: LossConfig = PlainLoss()
    optimization: OptimizationConfig = OptimizationConfig()
    sampler: SamplerDefaults = Field(SamplerDefaults(), description="Defaults of the exported models")
    weights: str | None = Field(
        None,
        description="Begin with the weights of this model, a name or a folder, or in a campaign one of its "
        "`denoisers`; what else the model holds is left out",
    )

    def to_dict(self) -> dict[str, object]:
        """The config as a trained model records it, and as YAML or JSON may hold it."""
        return self.model_dump(exclude={"data": {"set"}})

    def to_json(self) -> str:
        """What `prerelax train --settings` is given: all that the config says, the loss's name included."""
        return self.model_dump_json(exclude_unset=True)


def from_file(said: object) -> object:
    """A training's settings where only their file is named, relative to the working directory.

    Raises UserError for a file that cannot be read.
    """
    return read_settings(expand_path(said)) if isinstance(said, str) else said


Training = Annotated[TrainingConfig, BeforeValidator(from_file, json_schema_input_type=str | TrainingConfig)]
"""A training in a campaign: all of it, or the path of its file."""


def read_config(path: Path) -> TrainingConfig:
    """Read and check a training config, and the files that it extends.

    Raises UserError with a sentence for each mistake, which names the file and the key: unknown keys with
    the nearest known one, missing keys, values of the wrong type.
    """
    return checked_config(read_settings(path), str(path))


def chosen_config(path: Path | None, settings: str | None) -> TrainingConfig:
    """The training of a file, or of `settings` in JSON. Raises UserError unless one of them is given."""
    if (path is None) == (settings is None):
        raise UserError("give either CONFIG.yaml or --settings")
    if path is not None:
        found = read_settings(path)
        if "campaign" in found:
            denoisers = found.get("denoisers")
            names = ", ".join(denoisers) if isinstance(denoisers, Mapping) else "it has none"
            raise UserError(f"{path} is a campaign: name one of its denoisers ({names})")
        return checked_config(found, str(path))
    try:
        said = json.loads(settings or "")
    except json.JSONDecodeError as error:
        raise UserError(f"--settings is not JSON: {error}") from None
    return checked_config(said, "--settings")


def checked_config(settings: Mapping[str, object], where: str) -> TrainingConfig:
    """The training that settings describe. Raises UserError as `read_config`; `where` is its first word."""
    try:
        return TrainingConfig.model_validate(settings)
    except ValidationError as error:
        raise UserError(f"{where}: {sentences(error, TrainingConfig, settings)}") from None
