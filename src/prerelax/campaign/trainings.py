"""The trainings of a campaign as `prerelax train` gets them: with files for the sets and models they name."""

from prerelax.campaign.config import Campaign
from prerelax.campaign.layout import Layout
from prerelax.training.config import TrainingConfig


def training(campaign: Campaign, denoiser: str) -> TrainingConfig:
    """The training of a denoiser, in its folder; its set and the weights it begins with given as files."""
    layout = Layout.of(campaign.campaign)
    said = campaign.denoisers[denoiser]
    data, run, weights = said.data, said.run, said.weights
    if data.set is not None:
        data = data.model_copy(update={"path": layout.set(data.set), "set": None})
    if weights is not None and weights in campaign.denoisers:
        weights = layout.model(weights)
    run = run.model_copy(update={"folder": layout.training(denoiser)})
    return said.model_copy(update={"data": data, "run": run, "weights": weights})
