# Training data made by the campaign, none of it of its own molecules: minima, and labelled displacements of them.


rule set_molecules:
    input:
        molecules=lambda wildcards: campaign.sets[wildcards.set].molecules,
        tested=expand(f"{RESULTS}/molecules/{{shard}}.extxyz", shard=SHARDS),
    output:
        frames=f"{RESULTS}/sets/{{set}}/molecules.extxyz",
    log:
        f"{LOGS}/sets/{{set}}/molecules.log",
    benchmark:
        f"{BENCHMARKS}/sets/{{set}}/molecules.tsv"
    wildcard_constraints:
        set=one_of(sets_of_molecules),
    conda:
        "../../envs/prerelax.yaml"
    params:
        every=lambda wildcards: campaign.sets[wildcards.set].every,
        unlike=lambda wildcards, input: flags("unlike", input.tested),
    shell:
        "prerelax embed {input.molecules:q} {output.frames:q} --every {params.every}"
        " {params.unlike:q} > {log:q} 2>&1"


rule set_minima:
    input:
        frames=molecules_of_set,
        weights=lambda wildcards: force_field_weights(campaign.sets[wildcards.set]),
    output:
        frames=f"{RESULTS}/sets/{{set}}/minima.extxyz",
    log:
        f"{LOGS}/sets/{{set}}/minima.log",
    benchmark:
        f"{BENCHMARKS}/sets/{{set}}/minima.tsv"
    wildcard_constraints:
        set=one_of(sets_of_minima),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    params:
        options=lambda wildcards: relax_options(campaign.sets[wildcards.set]),
    shell:
        "prerelax relax {input.frames:q} {output.frames:q} {params.options:q}"
        " --workers {threads} --target {wildcards.set} > {log:q} 2>&1"


rule set_of_minima:
    input:
        f"{RESULTS}/sets/{{set}}/minima.extxyz",
    output:
        f"{RESULTS}/sets/{{set}}.npz",
    log:
        f"{LOGS}/sets/{{set}}/set.log",
    benchmark:
        f"{BENCHMARKS}/sets/{{set}}/set.tsv"
    wildcard_constraints:
        set=one_of(sets_of_minima),
    conda:
        "../../envs/prerelax.yaml"
    shell:
        "prerelax dataset {output:q} {input:q} > {log:q} 2>&1"


rule set_of_displacements:
    input:
        f"{RESULTS}/sets/{{set}}/molecules.extxyz",
    output:
        f"{RESULTS}/sets/{{set}}.npz",
    log:
        f"{LOGS}/sets/{{set}}/set.log",
    benchmark:
        f"{BENCHMARKS}/sets/{{set}}/set.tsv"
    wildcard_constraints:
        set=one_of(sets_with_labels),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    params:
        options=lambda wildcards: displacing_options(
            campaign.sets[wildcards.set], campaign.sets[wildcards.set].displacements
        ),
    shell:
        "prerelax displace {input:q} {output:q} {params.options:q} --workers {threads} > {log:q} 2>&1"


rule displace_molecules:
    input:
        source_frames,
    output:
        f"{RESULTS}/displaced/{{start}}/{{shard}}.npz",
    log:
        f"{LOGS}/displace/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/displace/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("displaced")),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    params:
        options=displaced_options,
    shell:
        "prerelax displace {input:q} {output:q} {params.options:q} --workers {threads} > {log:q} 2>&1"


rule displaced:
    input:
        frames=source_frames,
        displacements=set_of_displaced,
    output:
        frames=f"{RESULTS}/starts/{{start}}/{{shard}}.extxyz",
    log:
        f"{LOGS}/displaced/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/displaced/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("displaced")),
    conda:
        "../../envs/prerelax.yaml"
    shell:
        "prerelax displaced {input.frames:q} {output.frames:q} --set {input.displacements:q}"
        " --start {wildcards.start} > {log:q} 2>&1"


rule diffused:
    input:
        source_frames,
    output:
        frames=f"{RESULTS}/starts/{{start}}/{{shard}}.extxyz",
    log:
        f"{LOGS}/diffused/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/diffused/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("diffused")),
    conda:
        "../../envs/prerelax.yaml"
    params:
        steps=lambda wildcards: flags("step", campaign.starts[wildcards.start].steps),
        seed=lambda wildcards: campaign.starts[wildcards.start].seed,
    shell:
        "prerelax diffused {input:q} {output.frames:q} {params.steps} --seed {params.seed}"
        " --start {wildcards.start} > {log:q} 2>&1"
