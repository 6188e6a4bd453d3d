# Training data made by the campaign, none of it of its own molecules: minima, and labelled displacements of them.


rule set_molecules:
    input:
        molecules=lambda wildcards: campaign.sets[wildcards.set].molecules,
        tested=expand(layout.start("rdkit", "{shard}"), shard=SHARDS),
    output:
        frames=layout.set_shard("{set}", "molecules"),
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
        weights=lambda wildcards: weights_of_own_models(campaign.sets[wildcards.set]),
    output:
        frames=layout.set_shard("{set}", "minima"),
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
        settings=lambda wildcards: relaxing(
            campaign, layout, campaign.sets[wildcards.set]
        ),
    shell:
        "prerelax relax {input.frames:q} {output.frames:q} --settings {params.settings:q}"
        " --workers {threads} --target {wildcards.set} > {log:q} 2>&1"


rule set_of_minima:
    input:
        layout.set_shard("{set}", "minima"),
    output:
        layout.set("{set}"),
    log:
        f"{LOGS}/sets/{{set}}/set.log",
    benchmark:
        f"{BENCHMARKS}/sets/{{set}}/set.tsv"
    wildcard_constraints:
        set=one_of(sets_of_minima),
    conda:
        "../../envs/prerelax.yaml"
    shell:
        "prerelax data dataset {output:q} {input:q} > {log:q} 2>&1"


rule set_of_displacements:
    input:
        layout.set_shard("{set}", "molecules"),
    output:
        layout.set("{set}"),
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
        settings=lambda wildcards: displacing(campaign, wildcards.set),
    shell:
        "prerelax data displace {input:q} {output:q} --settings {params.settings:q} --workers {threads} > {log:q} 2>&1"


rule displace_molecules:
    input:
        source_frames,
    output:
        layout.displacements("{start}", "{shard}"),
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
        settings=displaced_settings,
    shell:
        "prerelax data displace {input:q} {output:q} --settings {params.settings:q} --workers {threads} > {log:q} 2>&1"


rule displaced:
    input:
        frames=source_frames,
        displacements=set_of_displaced,
    output:
        frames=layout.start("{start}", "{shard}"),
    log:
        f"{LOGS}/displaced/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/displaced/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("displaced")),
    conda:
        "../../envs/prerelax.yaml"
    shell:
        "prerelax data displaced {input.frames:q} {input.displacements:q} {output.frames:q}"
        " --start {wildcards.start} > {log:q} 2>&1"


rule diffused:
    input:
        source_frames,
    output:
        frames=layout.start("{start}", "{shard}"),
    log:
        f"{LOGS}/diffused/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/diffused/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("diffused")),
    conda:
        "../../envs/prerelax.yaml"
    params:
        settings=start_settings,
    shell:
        "prerelax data diffused {input:q} {output.frames:q} --settings {params.settings:q}"
        " --start {wildcards.start} > {log:q} 2>&1"
