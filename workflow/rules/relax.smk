# xTB relaxations last seconds and DFT ones hours: separate rules, so that a site's profile can size them
# without knowing a campaign's names. Each resumes from the journal beside its output.


rule prerelax_xtb:
    input:
        frames=source_frames,
        weights=start_weights,
    output:
        frames=layout.start("{start}", "{shard}"),
    log:
        f"{LOGS}/prerelax_xtb/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/prerelax_xtb/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("relax")),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    resources:
        runtime=requests.runtime("starts/{start}", 60),
        mem_mb=requests.memory("starts/{start}", 8000),
    params:
        settings=start_settings,
    shell:
        "prerelax relax {input.frames:q} {output.frames:q} --settings {params.settings:q}"
        " --workers {threads} --start {wildcards.start} > {log:q} 2>&1"


rule relax_xtb:
    input:
        frames=frames_to_relax,
        weights=target_weights,
        guide=guide_learned,
    output:
        frames=layout.relaxed("{target}", "{start}", "{shard}"),
    log:
        f"{LOGS}/relax_xtb/{{target}}/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/relax_xtb/{{target}}/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        target=one_of(targets_of(cheap=True)),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    resources:
        runtime=requests.runtime("relaxed/{target}/{start}", 60),
        mem_mb=requests.memory("relaxed/{target}/{start}", 8000),
    params:
        settings=target_settings,
    shell:
        "prerelax relax {input.frames:q} {output.frames:q} --settings {params.settings:q}"
        " --workers {threads} --target {wildcards.target} > {log:q} 2>&1"


rule relax_dft:
    input:
        frames=frames_to_relax,
        guide=guide_learned,
    output:
        frames=layout.relaxed("{target}", "{start}", "{shard}"),
    log:
        f"{LOGS}/relax_dft/{{target}}/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/relax_dft/{{target}}/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        target=one_of(targets_of(cheap=False)),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    resources:
        runtime=requests.runtime("relaxed/{target}/{start}", 1440),
        mem_mb=requests.memory("relaxed/{target}/{start}", 64000),
    params:
        settings=target_settings,
    shell:
        "prerelax relax {input.frames:q} {output.frames:q} --settings {params.settings:q}"
        " --workers {threads} --target {wildcards.target} --go-on-without-program > {log:q} 2>&1"


# Energies at a further level of what was relaxed.
rule single_points:
    input:
        layout.relaxed("{target}", "{start}", "{shard}"),
    output:
        frames=layout.shard("single_points/{points}/{target}/{start}", "{shard}"),
    log:
        f"{LOGS}/single_points/{{points}}/{{target}}/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/single_points/{{points}}/{{target}}/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        points=one_of(campaign.single_points),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    resources:
        runtime=requests.runtime("single_points/{points}/{target}/{start}", 240),
        mem_mb=requests.memory("single_points/{points}/{target}/{start}", 64000),
    params:
        settings=lambda wildcards: evaluating_minima(campaign, wildcards.points),
    shell:
        "prerelax relax {input:q} {output.frames:q} --settings {params.settings:q}"
        " --workers {threads} --target {wildcards.points} --go-on-without-program > {log:q} 2>&1"
