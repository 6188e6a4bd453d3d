"""Where everything lies, and what is made from what."""

LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"


def one_of(names):
    """A wildcard constraint that matches these names, or nothing where there are none."""
    return "|".join(names) if names else "(?!)"


def frames_of_start(start, shard):
    folder = "molecules" if start == "rdkit" else f"starts/{start}"
    return f"{RESULTS}/{folder}/{shard}.extxyz"


def source_frames(wildcards):
    return frames_of_start(campaign.source(wildcards.start), wildcards.shard)


def start_frames(wildcards):
    return frames_of_start(wildcards.start, wildcards.shard)


def weights_of(denoiser):
    return f"{RESULTS}/training/{denoiser}/model/weights.safetensors"


def trained_weights(wildcards):
    """What a start waits for when the campaign itself trains its model."""
    model = campaign.starts[wildcards.start].model
    return weights_of(model) if model in campaign.denoisers else []


def model_of(wildcards):
    """A start's model folder; with an epoch the folder of the training, in which the verb looks for it."""
    start = campaign.starts[wildcards.start]
    if start.model not in campaign.denoisers:
        return start.model
    folder = Path(weights_of(start.model)).parent
    return str(folder if start.epoch is None else folder.parent)


def start_options(wildcards):
    return options(campaign.starts[wildcards.start])


def target_options(wildcards):
    return options(campaign.targets[wildcards.target])


def targets_of(*engines):
    return [
        name for name, target in campaign.targets.items() if target.engine in engines
    ]


RELAXED_FOLDERS = [
    f"{RESULTS}/relaxed/{target}/{start}"
    for target in campaign.targets
    for start in campaign.starts_of(target)
]


wildcard_constraints:
    shard=r"\d+",
    start="[a-z0-9-]+",
    target="[a-z0-9-]+",
