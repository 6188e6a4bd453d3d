# A denoiser that learns a target's level: fragments of the molecules, or some of these -> their relaxations -> adapt.
# Which jobs relax them is known from the config and the number of rows; which fragments they are, from a sample of
# the shards.


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


rule pilot_molecules:
    input:
        lambda wildcards: layout.start(campaign.source(wildcards.start), wildcards.part),
    output:
        frames=layout.pilot("{start}", "{after}/forcefield", "{part}"),
    log:
        f"{LOGS}/pilot_molecules/{{start}}/{{after}}/{{part}}.log",
    benchmark:
        f"{BENCHMARKS}/pilot_molecules/{{start}}/{{after}}/{{part}}.tsv"
    wildcard_constraints:
        start=one_of(adapted_starts),
    localrule: True
    conda:
        "../../envs/prerelax.yaml"
    params:
        rows=lambda wildcards: lesson_after(wildcards).rounds[-1][wildcards.part],
        n_rows=lambda wildcards: sharding.shards[int(wildcards.part)].n_rows,
        message=NOT_LEARNED_FROM,
    script:
        "../scripts/sample.py"


rule pilot_denoise:
    input:
        frames=layout.pilot("{start}", "{after}/forcefield", "{part}"),
        weights=lambda wildcards: weights_learned(model_before(wildcards)),
    output:
        frames=layout.pilot("{start}", "{after}/denoised", "{part}"),
    log:
        f"{LOGS}/pilot_denoise/{{start}}/{{after}}/{{part}}.log",
    benchmark:
        f"{BENCHMARKS}/pilot_denoise/{{start}}/{{after}}/{{part}}.tsv"
    wildcard_constraints:
        start=one_of(adapted_starts),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    params:
        settings=lambda wildcards: denoising_with(
            campaign, layout, wildcards.start, model_before(wildcards)
        ),
    shell:
        "OMP_NUM_THREADS={threads} prerelax diffuse {input.frames:q} {output.frames:q} --settings {params.settings:q}"
        " --start {wildcards.start} --workers {threads} > {log:q} 2>&1"


rule pilot_relax:
    input:
        frames_of_pilot,
    output:
        frames=layout.pilot("{start}", "{of_round}relaxed", "{part}"),
        paths=layout.pilot("{start}", "{of_round}paths", "{part}"),
    log:
        f"{LOGS}/pilot_relax/{{start}}/{{of_round}}{{part}}.log",
    benchmark:
        f"{BENCHMARKS}/pilot_relax/{{start}}/{{of_round}}{{part}}.tsv"
    wildcard_constraints:
        start=one_of(adapted_starts),
        of_round=r"(\d+/)?",
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
        " --workers {threads} --target {params.target} --trajectory {output.paths:q} > {log:q} 2>&1"


rule adapt:
    input:
        pairs=lambda wildcards: LESSONS[wildcards.model].relaxed(layout),
        starts=lambda wildcards: LESSONS[wildcards.model].begun_at(layout),
        weights=base_weights,
    output:
        weights=f"{layout.adapted('{model}')}/weights.safetensors",
        config=f"{layout.adapted('{model}')}/config.yaml",
        card=f"{layout.adapted('{model}')}/card.md",
    log:
        f"{LOGS}/adapt/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/adapt/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(LESSONS),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    params:
        base=lambda wildcards: base_of(campaign, layout, LESSONS[wildcards.model].start),
        out=subpath(output.weights, parent=True),
    shell:
        "OMP_NUM_THREADS={threads} prerelax adapt {params.base:q} {input.pairs:q} {input.starts:q} {params.out:q}"
        " > {log:q} 2>&1"


# What the pilot's gradients say of the level beside the cheap one that guided them.
rule pilot_guide:
    input:
        lambda wildcards: LESSONS[wildcards.start].trajectories(layout),
    output:
        guide=layout.guide("{start}"),
    log:
        f"{LOGS}/pilot_guide/{{start}}.log",
    benchmark:
        f"{BENCHMARKS}/pilot_guide/{{start}}.tsv"
    wildcard_constraints:
        start=one_of(adapted_starts),
    conda:
        "../../envs/prerelax.yaml"
    shell:
        "prerelax data guide {input:q} {output.guide:q} > {log:q} 2>&1"
