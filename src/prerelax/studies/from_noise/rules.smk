# Molecules of given elements from noise by MoreRed's samplers.

from_noise = studies["from_noise"]
FROM_NOISE = f"{RESULTS}/from_noise"
STUDY_FIGURES += [f"{RESULTS}/figures/generation.png"]
STUDY_FIGURES += expand(
    f"{RESULTS}/figures/generation_limits_{{compositions}}.png",
    compositions=from_noise.compositions,
)
STUDY_FIGURES += [
    f"{RESULTS}/figures/generated_{compositions}_{run}.png"
    for compositions, run in from_noise.sampled
]


def samples_of(wildcards):
    """The shards of a run, named by the number of their first molecule."""
    wanted = from_noise.compositions[wildcards.compositions].molecules
    return [
        f"{FROM_NOISE}/{wildcards.compositions}/{wildcards.run}/{first:06d}.npz"
        for first in range(0, wanted, from_noise.shard_size)
    ]


def judged_files(wildcards):
    return [f"{FROM_NOISE}/{set_}/{run}/judged.csv" for set_, run in from_noise.sampled]


def sample_settings(wildcards):
    sample = from_noise.sample(
        wildcards.compositions, wildcards.run, int(wildcards.first)
    )
    return as_json(sample.model_copy(update={"model": folder_if_trained(sample.model)}))


def runs_drawn(wildcards):
    """All runs, or those of one set of compositions, or one."""
    return as_json(
        from_noise.drawn(wildcards.get("compositions"), wildcards.get("run"))
    )


rule from_noise:
    input:
        weights=lambda wildcards: weights_if_trained(
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


rule generation_shares:
    input:
        judged=judged_files,
        known=rules.known_smiles.output,
    output:
        report(
            f"{RESULTS}/figures/generation.png",
            caption="report/generation.rst",
            category="Molecules from noise",
            labels={"figure": "validity, uniqueness, novelty"},
        ),
        multiext(
            f"{RESULTS}/figures/generation",
            ".pdf",
            ".csv",
            "_numbers.csv",
            "_runs.csv",
        ),
    log:
        f"{LOGS}/generation_shares.log",
    benchmark:
        f"{BENCHMARKS}/generation_shares.tsv"
    conda:
        ENVIRONMENT
    params:
        folder=FROM_NOISE,
        figure=subpath(output[0], strip_suffix=".png"),
        settings=runs_drawn,
    shell:
        "prerelax study from-noise shares {params.folder:q} {params.figure:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule generation_limits:
    input:
        judged=judged_files,
        known=rules.known_smiles.output,
    output:
        report(
            f"{RESULTS}/figures/generation_limits_{{compositions}}.png",
            caption="report/generation_limits.rst",
            category="Molecules from noise",
            labels={"figure": "limit on iterations, {compositions}"},
        ),
        multiext(
            f"{RESULTS}/figures/generation_limits_{{compositions}}",
            ".pdf",
            ".csv",
        ),
    log:
        f"{LOGS}/generation_limits/{{compositions}}.log",
    benchmark:
        f"{BENCHMARKS}/generation_limits/{{compositions}}.tsv"
    wildcard_constraints:
        compositions=one_of(from_noise.compositions),
    conda:
        ENVIRONMENT
    params:
        folder=FROM_NOISE,
        figure=subpath(output[0], strip_suffix=".png"),
        settings=runs_drawn,
    shell:
        "prerelax study from-noise limits {params.folder:q} {params.figure:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule generation_pictures:
    input:
        f"{FROM_NOISE}/{{compositions}}/{{run}}/judged.csv",
    output:
        report(
            f"{RESULTS}/figures/generated_{{compositions}}_{{run}}.png",
            caption="report/generated.rst",
            category="Molecules from noise",
            labels={"figure": "pictures, {compositions}, {run}"},
        ),
        multiext(
            f"{RESULTS}/figures/generated_{{compositions}}_{{run}}",
            ".pdf",
            ".csv",
        ),
    log:
        f"{LOGS}/generation_pictures/{{compositions}}/{{run}}.log",
    benchmark:
        f"{BENCHMARKS}/generation_pictures/{{compositions}}/{{run}}.tsv"
    wildcard_constraints:
        compositions=one_of(from_noise.compositions),
        run=one_of(from_noise.runs),
    conda:
        ENVIRONMENT
    params:
        folder=FROM_NOISE,
        figure=subpath(output[0], strip_suffix=".png"),
        settings=runs_drawn,
    shell:
        "prerelax study from-noise pictures {params.folder:q} {params.figure:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"
