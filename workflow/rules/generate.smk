# Molecules from noise, and the phases that they go through.


rule generate:
    input:
        weights=generating_weights,
        sizes=generation.sizes_like if generation else [],
    output:
        chain=f"{RESULTS}/generated/chain.npz",
    log:
        f"{LOGS}/generate.log",
    benchmark:
        f"{BENCHMARKS}/generate.tsv"
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    params:
        model=generating_model,
        molecules=generation.molecules if generation else 0,
        seed=generation.seed if generation else 0,
        batch_size=generation.batch_size if generation else 0,
    shell:
        "OMP_NUM_THREADS={threads} prerelax generate {output:q} --model {params.model:q} --sizes-like {input.sizes:q}"
        " --molecules {params.molecules} --seed {params.seed} --batch-size {params.batch_size} > {log:q} 2>&1"


rule phases:
    input:
        rules.generate.output,
    output:
        report(
            f"{RESULTS}/figures/phases.png",
            caption="../report/phases.rst",
            category="What the model knows",
            labels={"figure": "phases of generation"},
        ),
        multiext(f"{RESULTS}/figures/phases", ".pdf", ".csv", "_numbers.csv"),
    log:
        f"{LOGS}/phases.log",
    benchmark:
        f"{BENCHMARKS}/phases.tsv"
    conda:
        "../../envs/prerelax.yaml"
    params:
        figure=subpath(output[0], strip_suffix=".png"),
    shell:
        "prerelax phases {input:q} {params.figure:q} > {log:q} 2>&1"


if generation and generation.end:

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
            "../../envs/prerelax.yaml"
        params:
            steps=generation.end.steps,
            molecules=generation.end.molecules,
        shell:
            "prerelax chain-end {input:q} {output:q} --steps {params.steps}"
            " --molecules {params.molecules} > {log:q} 2>&1"

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
            "../../envs/prerelax.yaml"
        threads: 2
        params:
            options=level_options(campaign.targets[generation.end.target]),
            every=generation.end.every,
        shell:
            "prerelax energies {input:q} {output:q} {params.options:q} --every {params.every}"
            " --workers {threads} --go-on-without-program > {log:q} 2>&1"

    rule chain_end_figure:
        input:
            rules.chain_energies.output,
        output:
            report(
                f"{RESULTS}/figures/chain_end.png",
                caption="../report/chain_end.rst",
                category="What the model knows",
                labels={"figure": "energies along the end of the chain"},
            ),
            multiext(f"{RESULTS}/figures/chain_end", ".pdf", ".csv", "_numbers.csv"),
        log:
            f"{LOGS}/chain_end_figure.log",
        benchmark:
            f"{BENCHMARKS}/chain_end_figure.tsv"
        conda:
            "../../envs/prerelax.yaml"
        params:
            figure=subpath(output[0], strip_suffix=".png"),
            target=generation.end.target,
        shell:
            "prerelax chain-energies {input:q} {params.figure:q} --target {params.target} > {log:q} 2>&1"
