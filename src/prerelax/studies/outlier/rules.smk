# The molecule whose minimum a start changed most.

STUDY_FIGURES += expand(
    f"{RESULTS}/figures/outlier_{{target}}.png", target=studies["outlier"].targets
)


rule outlier:
    input:
        lambda wildcards: relaxed_with_baseline(
            wildcards.target, studies["outlier"][wildcards.target]
        ),
    output:
        report(
            f"{RESULTS}/figures/outlier_{{target}}.png",
            caption="report/outlier.rst",
            category="What the model knows",
            labels={"figure": "the largest energy delta, {target}"},
        ),
        multiext(f"{RESULTS}/figures/outlier_{{target}}", ".pdf", ".csv"),
    log:
        f"{LOGS}/outlier/{{target}}.log",
    benchmark:
        f"{BENCHMARKS}/outlier/{{target}}.tsv"
    wildcard_constraints:
        target=one_of(studies["outlier"].targets),
    conda:
        ENVIRONMENT
    params:
        results=subpath(output[0], ancestor=2),
        figure=subpath(output[0], strip_suffix=".png"),
        settings=lambda wildcards: as_json(
            studies["outlier"].settings(campaign.baseline.start, wildcards.target)
        ),
    shell:
        "prerelax study outlier {params.results:q} {wildcards.target} {params.figure:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"
