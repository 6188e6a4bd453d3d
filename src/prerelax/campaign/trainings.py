"""The trainings of a campaign as `prerelax train` gets them: with files for the sets and models they name."""

from pathlib import Path

from prerelax.campaign.config import Campaign
from prerelax.training.config import TrainingConfig


def training_folder(campaign: Campaign, denoiser: str) -> Path:
    """Where the training of a denoiser lives."""
    return Path("results") / campaign.campaign / "training" / denoiser


def trained_model(campaign: Campaign, denoiser: str) -> Path:
    """The model folder that the training of a denoiser leaves."""
    return training_folder(campaign, denoiser) / "model"


def set_file(campaign: Campaign, name: str) -> Path:
    """The file of one of the campaign's sets."""
    return Path("results") / campaign.campaign / "sets" / f"{name}.npz"


def training(campaign: Campaign, denoiser: str) -> TrainingConfig:
    """The training of a denoiser, in its folder; its set and the weights it begins with given as files."""
    said = campaign.denoisers[denoiser]
    data, run, weights = said.data, said.run, said.weights
    if data.set is not None:
        data = data.model_copy(update={"path": str(set_file(campaign, data.set)), "set": None})
    if weights in campaign.denoisers:
        weights = str(trained_model(campaign, weights))
    run = run.model_copy(update={"folder": str(training_folder(campaign, denoiser))})
    return said.model_copy(update={"data": data, "run": run, "weights": weights})
