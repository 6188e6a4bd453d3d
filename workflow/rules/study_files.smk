"""What the studies are made from."""


def files_evaluated(folder, target, starts):
    """Shards with the molecules whose paths from these starts are evaluated."""
    files = []
    for start in starts:
        molecules = studies.molecules_evaluated(target, start)
        n_shards = (
            len(SHARDS) if molecules is None else -(-molecules // campaign.shard_size)
        )
        files += [
            f"{RESULTS}/{folder}/{target}/{start}/{shard}.extxyz"
            for shard in SHARDS[:n_shards]
        ]
    return files


def molecules_of_shard(wildcards):
    """How many molecules of a shard are evaluated."""
    molecules = studies.molecules_evaluated(wildcards.target, wildcards.start)
    if molecules is None:
        return campaign.shard_size
    before = SHARDS.index(wildcards.shard) * campaign.shard_size
    return min(molecules - before, campaign.shard_size)


def evaluated_and_relaxed(target, starts):
    """Evaluated paths of these starts, and the minima that they end in."""
    return files_evaluated("energies", target, starts) + files_evaluated(
        "relaxed", target, starts
    )


def path_files(wildcards):
    study = studies.paths[wildcards.target]
    zero = expand(
        f"{RESULTS}/relaxed/{{target}}/{{start}}/{{shard}}.extxyz",
        target=wildcards.target,
        start=[study.zero] if study.zero else [],
        shard=SHARDS,
    )
    return evaluated_and_relaxed(wildcards.target, study.starts) + zero


def alignment_files(wildcards):
    study = studies.alignment[wildcards.target]
    return evaluated_and_relaxed(wildcards.target, study.starts)


def flags(name, values):
    """`--name value` for each value."""
    return [word for value in values for word in (f"--{name}", str(value))]


def checkpoint_starts(target):
    """Starts from the baseline by checkpoints, and by the newest model of the campaign's own trainings."""
    return [
        name
        for name in campaign.starts_of_kind("diffuse")
        if name in campaign.starts_of(target)
        and campaign.source(name) == campaign.baseline
        and (
            campaign.starts[name].epoch
            or campaign.starts[name].model in campaign.denoisers
        )
    ]


def relaxed_with_baseline(target, starts):
    return expand(
        f"{RESULTS}/relaxed/{target}/{{start}}/{{shard}}.extxyz",
        start=[campaign.baseline, *starts],
        shard=SHARDS,
    )


def checkpoint_words(target):
    """START:MODEL:EPOCH:STEPS of every checkpoint."""
    starts = {name: campaign.starts[name] for name in checkpoint_starts(target)}
    return [
        f"{name}:{start.model}:{f'{start.epoch:g}' if start.epoch else 'last'}:{start.steps or 50}"
        for name, start in starts.items()
    ]


generation = studies.generation
GENERATION_FIGURES = ["phases"] if generation else []
if generation and generation.end:
    GENERATION_FIGURES.append("chain_end")


def generating_weights(wildcards):
    return weights_if_trained(generation.model)


def generating_model(wildcards):
    return folder_if_trained(generation.model)


def weights_if_trained(model):
    """What a model's user waits for when the campaign itself trains it."""
    return weights_of(model) if model in campaign.denoisers else []


def folder_if_trained(model):
    return str(Path(weights_of(model)).parent) if model in campaign.denoisers else model


boltzmann = studies.boltzmann
BOLTZMANN_FIGURES = {
    "boltzmann_violins": "energies of repeated steps and of Metropolis",
    "boltzmann_temperature": "temperature of a repeated step",
    "boltzmann_heat_capacity": "heat capacities",
}


STUDY_FIGURES = [
    *expand(f"{RESULTS}/figures/paths_{{target}}.png", target=studies.paths),
    *expand(
        f"{RESULTS}/figures/alignment_{{target}}.png", target=studies.alignment
    ),
    *expand(
        f"{RESULTS}/figures/training_speedup_{{target}}.png",
        target=studies.training,
    ),
    *expand(
        f"{RESULTS}/figures/outlier_{{target}}.png", target=studies.outlier
    ),
    *expand(
        f"{RESULTS}/figures/{{name}}.png", name=GENERATION_FIGURES + FROM_NOISE_FIGURES
    ),
    *expand(
        f"{RESULTS}/figures/{{name}}.png", name=BOLTZMANN_FIGURES if boltzmann else []
    ),
]
