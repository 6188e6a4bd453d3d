"""The trainings of a campaign as `prerelax train` gets them: with files for the sets and models they name."""

from prerelax.campaign.config import Campaign
from prerelax.campaign.layout import Layout
from prerelax.errors import UserError, nearest
from prerelax.training.config import TrainingConfig


def training(campaign: Campaign, denoiser: str) -> TrainingConfig:
    """The training of a denoiser, in its folder; its set and the weights it begins with given as files.

    No molecule of the campaign, by its graph, is trained on: sets of its own are made without them. Raises
    UserError for a denoiser that the campaign does not train.
    """
    if denoiser not in campaign.denoisers:
        hint = nearest(denoiser, campaign.denoisers)
        raise UserError(f"the campaign {campaign.campaign} trains no denoiser {denoiser}{hint}")
    layout, said = Layout.of(campaign.campaign), campaign.denoisers[denoiser]
    data, weights = said.data, said.weights
    if data.set is not None:
        data = data.model_copy(update={"path": layout.set(data.set), "set": None})
    else:
        data = data.model_copy(update={"unlike": [*data.unlike, str(campaign.molecule_file)]})
    if weights in campaign.denoisers:
        weights = layout.model(weights)
    run = said.run.model_copy(update={"folder": layout.training(denoiser)})
    return said.model_copy(update={"data": data, "run": run, "weights": weights})
