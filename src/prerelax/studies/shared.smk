"""What the studies of a campaign share: paths evaluated at a target, and how figures are drawn."""

from prerelax.studies.study import StudyFiles, as_json, paths_evaluated

study_files = StudyFiles(campaign, layout, SHARDS, paths_evaluated(studies.values()))


rule trace:
    input:
        frames=source_frames,
        weights=start_weights,
    output:
        trajectory=layout.path("{start}", "{shard}"),
        ends=temp(layout.path("{start}", "ends-{shard}")),
        table=temp(f"{RESULTS}/paths/{{start}}/ends-{{shard}}.parquet"),
    log:
        f"{LOGS}/trace/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/trace/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        start=one_of(campaign.starts_of_kind("diffuse")),
    conda:
        ENVIRONMENT
    params:
        settings=start_settings,
    shell:
        "OMP_NUM_THREADS={threads} prerelax diffuse {input.frames:q} {output.ends:q} --settings {params.settings:q}"
        " --start {wildcards.start} --trajectory {output.trajectory:q} > {log:q} 2>&1"


rule energies:
    input:
        layout.path("{start}", "{shard}"),
    output:
        layout.evaluated("{target}", "{start}", "{shard}"),
    log:
        f"{LOGS}/energies/{{target}}/{{start}}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/energies/{{target}}/{{start}}/{{shard}}.tsv"
    wildcard_constraints:
        target=one_of(campaign.targets),
    conda:
        ENVIRONMENT
    threads: 2
    params:
        settings=lambda wildcards: evaluating(campaign.targets[wildcards.target]),
        every=lambda wildcards: study_files.paths[
            wildcards.target, wildcards.start
        ].every,
        molecules=lambda wildcards: study_files.molecules_evaluated(**wildcards),
    shell:
        "prerelax energies {input:q} {output:q} --settings {params.settings:q} --every {params.every}"
        " --molecules {params.molecules} --workers {threads} --go-on-without-program > {log:q} 2>&1"


for figure in [
    each for study in studies.values() for each in study.figures(study_files)
]:
    STUDY_FIGURES.append(layout.figure(figure.name))

    rule:
        name:
            f"figure_{figure.name}"
        input:
            figure.inputs,
        output:
            report(
                layout.figure(figure.name),
                caption=figure.caption,
                category=figure.category,
                labels={"figure": figure.label},
            ),
            multiext(f"{RESULTS}/figures/{figure.name}", ".pdf", ".csv", *figure.more),
        log:
            f"{LOGS}/figures/{figure.name}.log",
        benchmark:
            f"{BENCHMARKS}/figures/{figure.name}.tsv"
        conda:
            ENVIRONMENT
        threads: figure.threads
        params:
            words=figure.words,
            figure=subpath(output[0], strip_suffix=".png"),
            settings=as_json(figure.settings) if figure.settings else "{}",
        shell:
            "OMP_NUM_THREADS={threads} prerelax study {params.words:q} {params.figure:q}"
            " --settings {params.settings:q} > {log:q} 2>&1"
