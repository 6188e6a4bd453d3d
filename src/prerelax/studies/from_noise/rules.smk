# Molecules of given elements from noise by MoreRed's samplers.

from_noise = studies["from_noise"]
FROM_NOISE = f"{RESULTS}/from_noise"


def samples_of(wildcards):
    """The shards of a run, named by the number of their first molecule."""
    wanted = from_noise.compositions[wildcards.compositions].molecules
    return [
        f"{FROM_NOISE}/{wildcards.compositions}/{wildcards.run}/{first:06d}.npz"
        for first in range(0, wanted, from_noise.shard_size)
    ]


def sample_settings(wildcards):
    sample = from_noise.sample(
        wildcards.compositions, wildcards.run, int(wildcards.first)
    )
    return as_json(sample.model_copy(update={"model": study_files.model(sample.model)}))


rule from_noise:
    input:
        weights=lambda wildcards: study_files.weights(
            from_noise.runs[wildcards.run].model
        ),
        like=lambda wildcards: from_noise.compositions[wildcards.compositions].like,
    output:
        f"{FROM_NOISE}/{{compositions}}/{{run}}/{{first}}.npz",
    log:
        f"{LOGS}/from_noise/{{compositions}}/{{run}}/{{first}}.log",
    benchmark:
        f"{BENCHMARKS}/from_noise/{{compositions}}/{{run}}/{{first}}.tsv"
    wildcard_constraints:
        compositions=one_of(from_noise.compositions),
        run=one_of(from_noise.runs),
        first=r"\d{6}",
    conda:
        ENVIRONMENT
    threads: 2
    params:
        settings=sample_settings,
    shell:
        "OMP_NUM_THREADS={threads} prerelax study from-noise sample {output:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule judge_samples:
    input:
        samples_of,
    output:
        f"{FROM_NOISE}/{{compositions}}/{{run}}/judged.csv",
    log:
        f"{LOGS}/judge_samples/{{compositions}}/{{run}}.log",
    benchmark:
        f"{BENCHMARKS}/judge_samples/{{compositions}}/{{run}}.tsv"
    wildcard_constraints:
        compositions=one_of(from_noise.compositions),
        run=one_of(from_noise.runs),
    conda:
        ENVIRONMENT
    shell:
        "prerelax study from-noise judge {input:q} {output:q} > {log:q} 2>&1"


rule known_smiles:
    input:
        from_noise.known,
    output:
        f"{FROM_NOISE}/known.smi",
    log:
        f"{LOGS}/known_smiles.log",
    benchmark:
        f"{BENCHMARKS}/known_smiles.tsv"
    conda:
        ENVIRONMENT
    shell:
        "prerelax study from-noise known {input:q} {output:q} > {log:q} 2>&1"
