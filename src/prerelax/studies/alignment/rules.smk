# Where the steps of denoisers point: along the forces, or straight to the minimum.

STUDY_FIGURES += expand(
    f"{RESULTS}/figures/alignment_{{target}}.png", target=studies["alignment"].targets
)


rule align:
    input:
        lambda wildcards: evaluated_and_relaxed(
            wildcards.target, studies["alignment"][wildcards.target].starts
        ),
    output:
        report(
            f"{RESULTS}/figures/alignment_{{target}}.png",
            caption="report/alignment.rst",
            category="What the model knows",
            labels={"figure": "steps, forces and the way to the minimum, {target}"},
        ),
        multiext(
            f"{RESULTS}/figures/alignment_{{target}}", ".pdf", ".csv", "_numbers.csv"
        ),
    log:
        f"{LOGS}/align/{{target}}.log",
    benchmark:
        f"{BENCHMARKS}/align/{{target}}.tsv"
    wildcard_constraints:
        target=one_of(studies["alignment"].targets),
    conda:
        ENVIRONMENT
    params:
        results=subpath(output[0], ancestor=2),
        figure=subpath(output[0], strip_suffix=".png"),
        settings=lambda wildcards: as_json(studies["alignment"][wildcards.target]),
    shell:
        "prerelax study alignment {params.results:q} {wildcards.target} {params.figure:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"
