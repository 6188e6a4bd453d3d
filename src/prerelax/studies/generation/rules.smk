# Molecules from noise, and the phases that they go through.

generation = studies["generation"]
STUDY_FIGURES += expand(
    f"{RESULTS}/figures/{{name}}.png",
    name=["phases", "chain_end"] if generation.end else ["phases"],
)


rule generate:
    input:
        weights=weights_if_trained(generation.model),
        sizes=generation.sizes_like,
    output:
        chain=f"{RESULTS}/generated/chain.npz",
    log:
        f"{LOGS}/generate.log",
    benchmark:
        f"{BENCHMARKS}/generate.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    params:
        settings=lambda wildcards: as_json(
            generation.model_copy(
                update={"model": folder_if_trained(generation.model), "end": None}
            )
        ),
    shell:
        "OMP_NUM_THREADS={threads} prerelax study generation chains {output:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule phases:
    input:
        rules.generate.output,
    output:
        report(
            f"{RESULTS}/figures/phases.png",
            caption="report/phases.rst",
            category="What the model knows",
            labels={"figure": "phases of generation"},
        ),
        multiext(f"{RESULTS}/figures/phases", ".pdf", ".csv", "_numbers.csv"),
    log:
        f"{LOGS}/phases.log",
    benchmark:
        f"{BENCHMARKS}/phases.tsv"
    conda:
        ENVIRONMENT
    params:
        figure=subpath(output[0], strip_suffix=".png"),
    shell:
        "prerelax study generation phases {input:q} {params.figure:q} > {log:q} 2>&1"


if generation.end:

    rule chain_end:
        input:
            rules.generate.output,
        output:
            f"{RESULTS}/generated/end.extxyz",
        log:
            f"{LOGS}/chain_end.log",
        benchmark:
            f"{BENCHMARKS}/chain_end.tsv"
        conda:
            ENVIRONMENT
        params:
            settings=lambda wildcards: as_json(generation.end),
        shell:
            "prerelax study generation end {input:q} {output:q} --settings {params.settings:q} > {log:q} 2>&1"

    rule chain_energies:
        input:
            rules.chain_end.output,
        output:
            f"{RESULTS}/generated/energies.extxyz",
        log:
            f"{LOGS}/chain_energies.log",
        benchmark:
            f"{BENCHMARKS}/chain_energies.tsv"
        conda:
            ENVIRONMENT
        threads: 2
        params:
            settings=evaluating(campaign.targets[generation.end.target]),
            every=generation.end.every,
        shell:
            "prerelax energies {input:q} {output:q} --settings {params.settings:q} --every {params.every}"
            " --workers {threads} --go-on-without-program > {log:q} 2>&1"

    rule chain_end_figure:
        input:
            rules.chain_energies.output,
        output:
            report(
                f"{RESULTS}/figures/chain_end.png",
                caption="report/chain_end.rst",
                category="What the model knows",
                labels={"figure": "energies along the end of the chain"},
            ),
            multiext(f"{RESULTS}/figures/chain_end", ".pdf", ".csv", "_numbers.csv"),
        log:
            f"{LOGS}/chain_end_figure.log",
        benchmark:
            f"{BENCHMARKS}/chain_end_figure.tsv"
        conda:
            ENVIRONMENT
        params:
            figure=subpath(output[0], strip_suffix=".png"),
            settings=lambda wildcards: as_json(generation.end),
        shell:
            "prerelax study generation energies {input:q} {params.figure:q}"
            " --settings {params.settings:q} > {log:q} 2>&1"
