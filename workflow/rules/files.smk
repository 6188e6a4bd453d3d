"""What is made from what; where everything lies is said in `prerelax.campaign.layout`."""

LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
STUDY_FIGURES = []  # each study adds its own
ENVIRONMENT = str(
    (Path(workflow.current_basedir.get_path_or_uri(False)) / "../../envs/prerelax.yaml")
)


adapted_starts = [
    name
    for name in campaign.starts_of_kind("diffuse")
    if campaign.starts[name].adapt is not None
]


def one_of(names):
    """A wildcard constraint that matches these names, or nothing where there are none."""
    return "|".join(names) if names else "(?!)"


def flags(name, values):
    """`--name value` for each value."""
    return [word for value in values for word in (f"--{name}", str(value))]


def force_unfit_shards():
    """Have Snakemake make them again, as with --forcerun; its DAG does not exist before inputs are asked for."""
    workflow.dag.forcefiles.update(TO_MAKE_AGAIN)


def source_frames(wildcards):
    force_unfit_shards()
    return layout.shard(campaign.source_folder(wildcards.start), wildcards.shard)


def start_frames(wildcards):
    force_unfit_shards()
    return layout.start(wildcards.start, wildcards.shard)


def frames_that_go_on(wildcards):
    """A start's frames, conformers marked that are not kept."""
    force_unfit_shards()
    return layout.shard(campaign.folder_to_relax(wildcards.start), wildcards.shard)


def judged_frames(wildcards):
    """By what conformers are kept; another start's follow what was decided of these."""
    if wildcards.start == campaign.keep.at:
        return []
    return layout.shard(f"kept/{campaign.keep.at}", wildcards.shard)


def sampled_of_shard(name):
    """Rows of a shard, counted within it, that are in the sample."""
    shard = sharding.shards[int(name)]
    rows = sampled_rows(sharding.n_rows, campaign.compare.sample, campaign.seed)
    return sorted(row - shard.first for row in rows if shard.first <= row < shard.last)


def frames_to_relax(wildcards):
    if campaign.is_sampled(wildcards.target, wildcards.start):
        return layout.sampled(wildcards.start, wildcards.shard)
    return frames_that_go_on(wildcards)


def weights_of_own_models(part):
    """What a part waits for when the campaign itself trains its models."""
    return [layout.weights(name) for name in own_models(campaign, part)]


def start_weights(wildcards):
    if wildcards.start in adapted_starts:
        return weights_learned(wildcards.start)
    return weights_of_own_models(campaign.starts[wildcards.start])


def weights_learned(model):
    return f"{layout.adapted(model)}/weights.safetensors"


def minima_known(wildcards):
    """Relaxed shards of molecules that the start's denoiser learned from."""
    if wildcards.start not in adapted_starts:
        return []
    lesson = LESSONS[wildcards.start]
    of_shard = [rounds.get(wildcards.shard) for rounds in lesson.rounds]
    return [
        layout.pilot(wildcards.start, f"{after}/relaxed", wildcards.shard)
        for after, rows in zip(lesson.adapt.learned_from, of_shard)
        if rows
    ]


def target_weights(wildcards):
    return weights_of_own_models(campaign.targets[wildcards.target])


def start_settings(wildcards):
    return making_start(campaign, layout, wildcards.start)


def target_settings(wildcards):
    return relaxing_from(campaign, layout, wildcards.target, wildcards.start)


def guide_learned(wildcards):
    """What a pilot taught two-level of the target's level, where the start's denoiser has one."""
    if not teaches_guide(campaign, wildcards.start, wildcards.target):
        return []
    return layout.guide(wildcards.start)


def targets_of(cheap):
    return [
        name for name, target in campaign.targets.items() if is_cheap(target) == cheap
    ]


RELAXED_FOLDERS = [
    layout.relaxations(target, start)
    for target in campaign.targets
    for start in campaign.relaxed_starts(target)
]


POINTS_FOLDERS = [
    f"{RESULTS}/{points_folder(name, campaign.evaluated_target(name), start)}"
    for name in campaign.single_points
    for start in campaign.relaxed_starts(campaign.evaluated_target(name))
]


wildcard_constraints:
    part=r"\d+",
    shard=r"\d+",
    set="[a-z0-9-]+",
    start="[a-z0-9-]+",
    target="[a-z0-9-]+",
