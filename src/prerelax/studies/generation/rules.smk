# Molecules from noise, and the phases that they go through.

from prerelax.studies.generation.config import CHAIN, END_ENERGIES

generation = studies["generation"]


rule generate:
    input:
        weights=study_files.weights(generation.model),
        sizes=generation.sizes_like,
    output:
        chain=f"{RESULTS}/{CHAIN}",
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
                update={"model": study_files.model(generation.model), "end": None}
            )
        ),
    shell:
        "OMP_NUM_THREADS={threads} prerelax study generation chains {output:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


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
            f"{RESULTS}/{END_ENERGIES}",
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
