# Which conformers go on: the different ones within a window, by their energies at a cheap level.
rule keep:
    input:
        frames=start_frames,
        judged=judged_frames,
    output:
        frames=layout.shard("kept/{start}", "{shard}"),
    log:
        f"{LOGS}/keep/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/keep/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.before_keeping),
    conda:
        "../../envs/prerelax.yaml"
    params:
        at=lambda wildcards: campaign.keep.at,
        window_kcal_mol=lambda wildcards: campaign.keep.window_kcal_mol,
        rmsd_ang=lambda wildcards: campaign.keep.rmsd_ang,
    script:
        "../scripts/keep.py"


rule sample_conformers:
    input:
        source_frames,
    output:
        frames=layout.start("{start}", "{shard}"),
    log:
        f"{LOGS}/sample_conformers/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/sample_conformers/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("sample")),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    resources:
        runtime=requests.runtime("starts/{start}", 240),
        mem_mb=requests.memory("starts/{start}", 8000),
    params:
        settings=start_settings,
    shell:
        "OMP_NUM_THREADS={threads} prerelax sample {input:q} {output.frames:q} --settings {params.settings:q}"
        " --start {wildcards.start} --workers {threads} > {log:q} 2>&1"
