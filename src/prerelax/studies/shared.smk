"""What the rules of several studies use: models of the campaign's own, and paths evaluated at a target."""

from prerelax.studies.study import as_json, paths_evaluated

PATHS_EVALUATED = paths_evaluated(studies.values())


def weights_if_trained(model):
    """What a model's user waits for when the campaign itself trains it."""
    return layout.weights(model) if model in campaign.denoisers else []


def folder_if_trained(model):
    return layout.model(model) if model in campaign.denoisers else model


def relaxed_with_baseline(target, starts):
    return expand(
        f"{RESULTS}/relaxed/{target}/{{start}}/{{shard}}.extxyz",
        start=[campaign.baseline.start, *starts],
        shard=SHARDS,
    )


def evaluated_and_relaxed(target, starts):
    """Evaluated paths of these starts, and the minima that they end in."""
    files = []
    for start in starts:
        molecules = PATHS_EVALUATED[target, start].molecules
        n_shards = (
            len(SHARDS) if molecules is None else -(-molecules // campaign.shard_size)
        )
        files += expand(
            f"{RESULTS}/{{folder}}/{target}/{start}/{{shard}}.extxyz",
            folder=["energies", "relaxed"],
            shard=SHARDS[:n_shards],
        )
    return files


def molecules_of_shard(wildcards):
    """How many molecules of a shard are evaluated."""
    molecules = PATHS_EVALUATED[wildcards.target, wildcards.start].molecules
    if molecules is None:
        return campaign.shard_size
    before = SHARDS.index(wildcards.shard) * campaign.shard_size
    return min(molecules - before, campaign.shard_size)


rule trace:
    input:
        frames=source_frames,
        weights=start_weights,
    output:
        trajectory=f"{RESULTS}/paths/{{start}}/{{shard}}.extxyz",
        ends=temp(f"{RESULTS}/paths/{{start}}/ends-{{shard}}.extxyz"),
        table=temp(f"{RESULTS}/paths/{{start}}/ends-{{shard}}.parquet"),
    log:
        f"{LOGS}/trace/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/trace/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("diffuse")),
    conda:
        ENVIRONMENT
    params:
        settings=start_settings,
    shell:
        "OMP_NUM_THREADS={threads} prerelax diffuse {input.frames:q} {output.ends:q} --settings {params.settings:q}"
        " --start {wildcards.start} --trajectory {output.trajectory:q} > {log:q} 2>&1"


rule energies:
    input:
        f"{RESULTS}/paths/{{start}}/{{shard}}.extxyz",
    output:
        f"{RESULTS}/energies/{{target}}/{{start}}/{{shard}}.extxyz",
    log:
        f"{LOGS}/energies/{{target}}/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/energies/{{target}}/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        target=one_of(campaign.targets),
    conda:
        ENVIRONMENT
    threads: 2
    params:
        settings=lambda wildcards: evaluating(campaign.targets[wildcards.target]),
        every=lambda wildcards: PATHS_EVALUATED[wildcards.target, wildcards.start].every,
        molecules=molecules_of_shard,
    shell:
        "prerelax energies {input:q} {output:q} --settings {params.settings:q} --every {params.every}"
        " --molecules {params.molecules} --workers {threads} --go-on-without-program > {log:q} 2>&1"
