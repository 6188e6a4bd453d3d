"""Where everything lies, and what is made from what."""

LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
STUDY_FIGURES = []  # each study adds its own
ENVIRONMENT = str(
    (Path(workflow.current_basedir.get_path_or_uri(False)) / "../../envs/prerelax.yaml")
)


def one_of(names):
    """A wildcard constraint that matches these names, or nothing where there are none."""
    return "|".join(names) if names else "(?!)"


def flags(name, values):
    """`--name value` for each value."""
    return [word for value in values for word in (f"--{name}", str(value))]


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
    """What a start waits for when the campaign itself trains its models."""
    start = campaign.starts[wildcards.start]
    return [
        weights_of(model)
        for model in (start.model, start.time_model)
        if model in campaign.denoisers
    ]


def force_field_weights(part):
    """What relaxations with a force field of the campaign's own wait for."""
    own = (
        engine_named(part.engine).method_is_model and part.method in campaign.denoisers
    )
    return weights_of(part.method) if own else []


def model_of(wildcards):
    """A start's model folder; with an epoch the folder of the training, in which the verb looks for it."""
    start = campaign.starts[wildcards.start]
    if start.model not in campaign.denoisers:
        return start.model
    folder = Path(weights_of(start.model)).parent
    return str(folder if start.epoch is None else folder.parent)


def start_options(wildcards):
    return options(campaign.starts[wildcards.start])


def time_model_options(wildcards):
    """`--time-model FOLDER` where a start names one."""
    name = campaign.starts[wildcards.start].time_model
    if name is None:
        return []
    own = name in campaign.denoisers
    return ["--time-model", str(Path(weights_of(name)).parent) if own else name]


def relax_options(part):
    """Options of `prerelax relax`; a force field that the campaign trains is named by its folder."""
    words = options(part)
    if force_field_weights(part):
        words[words.index("--method") + 1] = str(Path(weights_of(part.method)).parent)
    return words


def relaxed_start_options(wildcards):
    return relax_options(campaign.starts[wildcards.start])


def relaxed_start_weights(wildcards):
    return force_field_weights(campaign.starts[wildcards.start])


def target_options(wildcards):
    return relax_options(campaign.targets[wildcards.target])


def target_weights(wildcards):
    return force_field_weights(campaign.targets[wildcards.target])


def targets_of(cheap):
    return [
        name
        for name, target in campaign.targets.items()
        if engine_named(target.engine).is_cheap == cheap
    ]


RELAXED_FOLDERS = [
    f"{RESULTS}/relaxed/{target}/{start}"
    for target in campaign.targets
    for start in campaign.starts_of(target)
]


wildcard_constraints:
    shard=r"\d+",
    set="[a-z0-9-]+",
    start="[a-z0-9-]+",
    target="[a-z0-9-]+",
