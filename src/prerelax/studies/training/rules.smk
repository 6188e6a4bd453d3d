# What the checkpoints of a training save.

STUDY_FIGURES += expand(
    f"{RESULTS}/figures/training_speedup_{{target}}.png",
    target=studies["training"].targets,
)


def speedup_settings(wildcards):
    return studies["training"].settings(campaign, wildcards.target)


rule training_speedup:
    input:
        lambda wildcards: relaxed_with_baseline(
            wildcards.target, speedup_settings(wildcards).checkpoints
        ),
    output:
        report(
            f"{RESULTS}/figures/training_speedup_{{target}}.png",
            caption="report/training_speedup.rst",
            category="What the model knows",
            labels={"figure": "steps saved over training, {target}"},
        ),
        multiext(f"{RESULTS}/figures/training_speedup_{{target}}", ".pdf", ".csv"),
    log:
        f"{LOGS}/training_speedup/{{target}}.log",
    benchmark:
        f"{BENCHMARKS}/training_speedup/{{target}}.tsv"
    wildcard_constraints:
        target=one_of(studies["training"].targets),
    conda:
        ENVIRONMENT
    params:
        results=subpath(output[0], ancestor=2),
        figure=subpath(output[0], strip_suffix=".png"),
        settings=lambda wildcards: as_json(speedup_settings(wildcards)),
    shell:
        "prerelax study training {params.results:q} {wildcards.target} {params.figure:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"
