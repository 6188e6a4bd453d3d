"""What MoreRed's generation and its time steps are made from."""

from_noise = studies.from_noise
schedules = studies.schedules
shells = studies.shells
FROM_NOISE = f"{RESULTS}/from_noise"
SAMPLED = [
    (compositions, run)
    for compositions in (from_noise.compositions if from_noise else [])
    for run in from_noise.runs
]


def sample_shards(compositions):
    """Names of the shards of a run, by the number of its first molecule."""
    wanted = from_noise.compositions[compositions].molecules
    return [f"{first:06d}" for first in range(0, wanted, from_noise.shard_size)]


def samples_of(wildcards):
    return [
        f"{FROM_NOISE}/{wildcards.compositions}/{wildcards.run}/{shard}.npz"
        for shard in sample_shards(wildcards.compositions)
    ]


def weights_if_trained(model):
    """What a study waits for when the campaign itself trains its model."""
    return weights_of(model) if model in campaign.denoisers else []


def folder_if_trained(model):
    return str(Path(weights_of(model)).parent) if model in campaign.denoisers else model


def run_words(compositions=None):
    """COMPOSITIONS:RUN:FOLDER of every run, or of those of one set of compositions."""
    return [
        f"{set_}:{run}:{FROM_NOISE}/{set_}/{run}"
        for set_, run in SAMPLED
        if compositions in (None, set_)
    ]


def judged_files(wildcards):
    return [f"{FROM_NOISE}/{set_}/{run}/judged.csv" for set_, run in SAMPLED]


FROM_NOISE_FIGURES = [
    *(["generation"] if from_noise else []),
    *(
        f"generation_limits_{set_}"
        for set_ in (from_noise.compositions if from_noise else [])
    ),
    *(f"generated_{set_}_{run}" for set_, run in SAMPLED),
    *(["schedules"] if schedules else []),
    *(["shells"] if shells else []),
]
