# What a training's checkpoints save, and the molecule whose minimum a denoised start changed most.


rule training_speedup:
    input:
        lambda wildcards: relaxed_with_baseline(
            wildcards.target, checkpoint_starts(wildcards.target)
        ),
    output:
        report(
            f"{RESULTS}/figures/training_speedup_{{target}}.png",
            caption="../report/training_speedup.rst",
            category="What the model knows",
            labels={"figure": "steps saved over training, {target}"},
        ),
        multiext(f"{RESULTS}/figures/training_speedup_{{target}}", ".pdf", ".csv"),
    log:
        f"{LOGS}/training_speedup/{{target}}.log",
    benchmark:
        f"{BENCHMARKS}/training_speedup/{{target}}.tsv"
    wildcard_constraints:
        target=one_of(studies.training),
    conda:
        "../../envs/prerelax.yaml"
    params:
        results=subpath(output[0], ancestor=2),
        figure=subpath(output[0], strip_suffix=".png"),
        checkpoints=lambda wildcards: flags(
            "checkpoint", checkpoint_words(wildcards.target)
        ),
        baseline=campaign.baseline,
    shell:
        "prerelax training-speedup {params.results:q} {params.figure:q} --target {wildcards.target}"
        " {params.checkpoints:q} --baseline {params.baseline} > {log:q} 2>&1"


rule outlier:
    input:
        lambda wildcards: relaxed_with_baseline(
            wildcards.target, studies.outlier[wildcards.target]
        ),
    output:
        report(
            f"{RESULTS}/figures/outlier_{{target}}.png",
            caption="../report/outlier.rst",
            category="What the model knows",
            labels={"figure": "the largest energy delta, {target}"},
        ),
        multiext(f"{RESULTS}/figures/outlier_{{target}}", ".pdf", ".csv"),
    log:
        f"{LOGS}/outlier/{{target}}.log",
    benchmark:
        f"{BENCHMARKS}/outlier/{{target}}.tsv"
    wildcard_constraints:
        target=one_of(studies.outlier),
    conda:
        "../../envs/prerelax.yaml"
    params:
        results=subpath(output[0], ancestor=2),
        figure=subpath(output[0], strip_suffix=".png"),
        starts=lambda wildcards: flags(
            "start", studies.outlier[wildcards.target]
        ),
        baseline=campaign.baseline,
    shell:
        "prerelax outlier {params.results:q} {params.figure:q} --target {wildcards.target}"
        " {params.starts} --baseline {params.baseline} > {log:q} 2>&1"
