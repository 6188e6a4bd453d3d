# The paths that denoisers take, evaluated at a target: energies along them, and where their steps point.


rule trace:
    input:
        frames=source_frames,
        weights=trained_weights,
    output:
        trajectory=f"{RESULTS}/paths/{{start}}/{{shard}}.extxyz",
        ends=temp(f"{RESULTS}/paths/{{start}}/ends-{{shard}}.extxyz"),
        table=temp(f"{RESULTS}/paths/{{start}}/ends-{{shard}}.parquet"),
    log:
        f"{LOGS}/trace/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/trace/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("diffuse")),
    conda:
        "../../envs/prerelax.yaml"
    params:
        options=start_options,
        model=model_of,
    shell:
        "OMP_NUM_THREADS={threads} prerelax diffuse {input.frames:q} {output.ends:q} {params.options:q}"
        " --model {params.model:q} --start {wildcards.start} --trajectory {output.trajectory:q} > {log:q} 2>&1"


rule energies:
    input:
        f"{RESULTS}/paths/{{start}}/{{shard}}.extxyz",
    output:
        f"{RESULTS}/energies/{{target}}/{{start}}/{{shard}}.extxyz",
    log:
        f"{LOGS}/energies/{{target}}/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/energies/{{target}}/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        target=one_of(campaign.targets),
    conda:
        "../../envs/prerelax.yaml"
    threads: 2
    params:
        options=lambda wildcards: level_options(campaign.targets[wildcards.target]),
        every=lambda wildcards: studies.every(
            wildcards.target, wildcards.start
        ),
        molecules=molecules_of_shard,
    shell:
        "prerelax energies {input:q} {output:q} {params.options:q} --every {params.every}"
        " --molecules {params.molecules} --workers {threads} --go-on-without-program > {log:q} 2>&1"


rule paths:
    input:
        path_files,
    output:
        report(
            f"{RESULTS}/figures/paths_{{target}}.png",
            caption="../report/paths.rst",
            category="What the model knows",
            labels={"figure": "energies along the paths, {target}"},
        ),
        multiext(f"{RESULTS}/figures/paths_{{target}}", ".pdf", ".csv", "_numbers.csv"),
    log:
        f"{LOGS}/paths/{{target}}.log",
    benchmark:
        f"{BENCHMARKS}/paths/{{target}}.tsv"
    wildcard_constraints:
        target=one_of(studies.paths),
    conda:
        "../../envs/prerelax.yaml"
    params:
        results=subpath(output[0], ancestor=2),
        figure=subpath(output[0], strip_suffix=".png"),
        starts=lambda wildcards: flags(
            "start", studies.paths[wildcards.target].starts
        ),
        zero=lambda wildcards: flags(
            "zero", filter(None, [studies.paths[wildcards.target].zero])
        ),
    shell:
        "prerelax paths {params.results:q} {params.figure:q} --target {wildcards.target}"
        " {params.starts} {params.zero} > {log:q} 2>&1"


rule align:
    input:
        alignment_files,
    output:
        report(
            f"{RESULTS}/figures/alignment_{{target}}.png",
            caption="../report/alignment.rst",
            category="What the model knows",
            labels={"figure": "steps, forces and the way to the minimum, {target}"},
        ),
        multiext(
            f"{RESULTS}/figures/alignment_{{target}}", ".pdf", ".csv", "_numbers.csv"
        ),
    log:
        f"{LOGS}/align/{{target}}.log",
    benchmark:
        f"{BENCHMARKS}/align/{{target}}.tsv"
    wildcard_constraints:
        target=one_of(studies.alignment),
    conda:
        "../../envs/prerelax.yaml"
    params:
        results=subpath(output[0], ancestor=2),
        figure=subpath(output[0], strip_suffix=".png"),
        starts=lambda wildcards: flags(
            "start", studies.alignment[wildcards.target].starts
        ),
        sums=lambda wildcards: flags(
            "sum", studies.alignment[wildcards.target].sums
        ),
    shell:
        "prerelax align {params.results:q} {params.figure:q} --target {wildcards.target}"
        " {params.starts} {params.sums} > {log:q} 2>&1"
