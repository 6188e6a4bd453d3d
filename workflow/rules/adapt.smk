# A denoiser that learns a target's level: fragments of the molecules -> their relaxations -> adapt. How many jobs
# relax the fragments is known from the config; which fragments they are, from a sample of the shards.


rule pilot_fragments:
    input:
        shards_of_pilot,
    output:
        layout.fragments("{start}"),
    log:
        f"{LOGS}/pilot_fragments/{{start}}.log",
    benchmark:
        f"{BENCHMARKS}/pilot_fragments/{{start}}.tsv"
    wildcard_constraints:
        start=one_of(adapted_starts),
    conda:
        "../../envs/prerelax.yaml"
    params:
        settings=lambda wildcards: adapting(wildcards).pilot.model_dump_json(),
    shell:
        "prerelax data fragments {input:q} {output:q} --settings {params.settings:q} > {log:q} 2>&1"


rule pilot_embed:
    input:
        layout.fragments("{start}"),
    output:
        frames=layout.pilot("{start}", "rdkit", "{part}"),
    log:
        f"{LOGS}/pilot_embed/{{start}}/{{part}}.log",
    benchmark:
        f"{BENCHMARKS}/pilot_embed/{{start}}/{{part}}.tsv"
    wildcard_constraints:
        start=one_of(adapted_starts),
    conda:
        "../../envs/prerelax.yaml"
    params:
        n_jobs=lambda wildcards: adapting(wildcards).n_jobs,
    shell:
        "prerelax embed {input:q} {output.frames:q} --rows {wildcards.part}: --every {params.n_jobs} > {log:q} 2>&1"


rule pilot_forcefield:
    input:
        layout.pilot("{start}", "rdkit", "{part}"),
    output:
        frames=layout.pilot("{start}", "forcefield", "{part}"),
    log:
        f"{LOGS}/pilot_forcefield/{{start}}/{{part}}.log",
    benchmark:
        f"{BENCHMARKS}/pilot_forcefield/{{start}}/{{part}}.tsv"
    wildcard_constraints:
        start=one_of(adapted_starts),
    conda:
        "../../envs/prerelax.yaml"
    params:
        settings=lambda wildcards: making_start(
            campaign, layout, campaign.source(wildcards.start)
        ),
    shell:
        "prerelax forcefield {input:q} {output.frames:q} --settings {params.settings:q} > {log:q} 2>&1"


rule pilot_relax:
    input:
        layout.pilot("{start}", "forcefield", "{part}"),
    output:
        frames=layout.pilot("{start}", "relaxed", "{part}"),
    log:
        f"{LOGS}/pilot_relax/{{start}}/{{part}}.log",
    benchmark:
        f"{BENCHMARKS}/pilot_relax/{{start}}/{{part}}.tsv"
    wildcard_constraints:
        start=one_of(adapted_starts),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    resources:
        runtime=minutes_of_pilot,
        mem_mb=8000,
    params:
        settings=settings_of_pilot,
        target=lambda wildcards: adapting(wildcards).target,
    shell:
        "prerelax relax {input:q} {output.frames:q} --settings {params.settings:q}"
        " --workers {threads} --target {params.target} > {log:q} 2>&1"


rule adapt:
    input:
        pairs=lambda wildcards: expand(
            layout.pilot(wildcards.start, "relaxed", "{part}"),
            part=parts_of_pilot(wildcards),
        ),
        weights=base_weights,
    output:
        weights=f"{layout.adapted('{start}')}/weights.safetensors",
        config=f"{layout.adapted('{start}')}/config.yaml",
        card=f"{layout.adapted('{start}')}/card.md",
    log:
        f"{LOGS}/adapt/{{start}}.log",
    benchmark:
        f"{BENCHMARKS}/adapt/{{start}}.tsv"
    wildcard_constraints:
        start=one_of(adapted_starts),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    params:
        base=lambda wildcards: base_of(campaign, layout, wildcards.start),
        out=subpath(output.weights, parent=True),
    shell:
        "OMP_NUM_THREADS={threads} prerelax adapt {params.base:q} {input.pairs:q} {params.out:q} > {log:q} 2>&1"
