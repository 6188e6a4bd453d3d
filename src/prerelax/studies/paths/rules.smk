# Energies along the paths that denoisers take, above the minima.

STUDY_FIGURES += expand(
    f"{RESULTS}/figures/paths_{{target}}.png", target=studies["paths"].targets
)


def path_files(wildcards):
    settings = studies["paths"][wildcards.target]
    zero = expand(
        f"{RESULTS}/relaxed/{{target}}/{{start}}/{{shard}}.extxyz",
        target=wildcards.target,
        start=[settings.zero] if settings.zero else [],
        shard=SHARDS,
    )
    return evaluated_and_relaxed(wildcards.target, settings.starts) + zero


rule paths:
    input:
        path_files,
    output:
        report(
            f"{RESULTS}/figures/paths_{{target}}.png",
            caption="report/paths.rst",
            category="What the model knows",
            labels={"figure": "energies along the paths, {target}"},
        ),
        multiext(f"{RESULTS}/figures/paths_{{target}}", ".pdf", ".csv", "_numbers.csv"),
    log:
        f"{LOGS}/paths/{{target}}.log",
    benchmark:
        f"{BENCHMARKS}/paths/{{target}}.tsv"
    wildcard_constraints:
        target=one_of(studies["paths"].targets),
    conda:
        ENVIRONMENT
    params:
        results=subpath(output[0], ancestor=2),
        figure=subpath(output[0], strip_suffix=".png"),
        settings=lambda wildcards: as_json(studies["paths"][wildcards.target]),
    shell:
        "prerelax study paths {params.results:q} {wildcards.target} {params.figure:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"
