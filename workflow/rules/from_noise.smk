# Molecules of given elements from noise by MoreRed's samplers, and the time steps that its networks predict.


if from_noise:

    rule from_noise:
        input:
            weights=lambda wildcards: weights_if_trained(
                from_noise.runs[wildcards.run].model
            ),
            like=lambda wildcards: from_noise.compositions[wildcards.compositions].like,
        output:
            f"{FROM_NOISE}/{{compositions}}/{{run}}/{{first}}.npz",
        log:
            f"{LOGS}/from_noise/{{compositions}}/{{run}}/{{first}}.log",
        benchmark:
            f"{BENCHMARKS}/from_noise/{{compositions}}/{{run}}/{{first}}.tsv"
        wildcard_constraints:
            compositions=one_of(from_noise.compositions),
            run=one_of(from_noise.runs),
            first=r"\d{6}",
        conda:
            "../../envs/prerelax.yaml"
        threads: 2
        params:
            first=lambda wildcards: int(wildcards.first),
            model=lambda wildcards: folder_if_trained(
                from_noise.runs[wildcards.run].model
            ),
            sampler=lambda wildcards: from_noise.runs[wildcards.run].sampler,
            iterations=lambda wildcards: from_noise.runs[wildcards.run].max_iterations,
            molecules=lambda wildcards: from_noise.compositions[
                wildcards.compositions
            ].molecules,
            limits=lambda wildcards: flags("limit", from_noise.limits),
            shard_size=from_noise.shard_size,
            batch_size=from_noise.batch_size,
            seed=from_noise.seed,
        shell:
            "OMP_NUM_THREADS={threads} prerelax from-noise {output:q} --model {params.model:q} --sampler {params.sampler}"
            " --compositions-like {input.like:q} --molecules {params.molecules} --first {params.first}"
            " --at-most {params.shard_size} --max-iterations {params.iterations} {params.limits}"
            " --seed {params.seed} --batch-size {params.batch_size} > {log:q} 2>&1"

    rule judge_samples:
        input:
            samples_of,
        output:
            f"{FROM_NOISE}/{{compositions}}/{{run}}/judged.csv",
        log:
            f"{LOGS}/judge_samples/{{compositions}}/{{run}}.log",
        benchmark:
            f"{BENCHMARKS}/judge_samples/{{compositions}}/{{run}}.tsv"
        wildcard_constraints:
            compositions=one_of(from_noise.compositions),
            run=one_of(from_noise.runs),
        conda:
            "../../envs/prerelax.yaml"
        shell:
            "prerelax judge-samples {output:q} {input:q} > {log:q} 2>&1"

    rule known_smiles:
        input:
            from_noise.known,
        output:
            f"{FROM_NOISE}/known.smi",
        log:
            f"{LOGS}/known_smiles.log",
        benchmark:
            f"{BENCHMARKS}/known_smiles.tsv"
        conda:
            "../../envs/prerelax.yaml"
        shell:
            "prerelax known-smiles {output:q} {input:q} > {log:q} 2>&1"

    rule generation_shares:
        input:
            judged=judged_files,
            known=rules.known_smiles.output,
        output:
            report(
                f"{RESULTS}/figures/generation.png",
                caption="../report/generation.rst",
                category="Molecules from noise",
                labels={"figure": "validity, uniqueness, novelty"},
            ),
            multiext(
                f"{RESULTS}/figures/generation",
                ".pdf",
                ".csv",
                "_numbers.csv",
                "_runs.csv",
            ),
        log:
            f"{LOGS}/generation_shares.log",
        benchmark:
            f"{BENCHMARKS}/generation_shares.tsv"
        conda:
            "../../envs/prerelax.yaml"
        params:
            runs=flags("run", run_words()),
            figure=subpath(output[0], strip_suffix=".png"),
        shell:
            "prerelax generation-shares {params.figure:q} {params.runs:q} --known {input.known:q} > {log:q} 2>&1"

    rule generation_limits:
        input:
            judged=judged_files,
            known=rules.known_smiles.output,
        output:
            report(
                f"{RESULTS}/figures/generation_limits_{{compositions}}.png",
                caption="../report/generation_limits.rst",
                category="Molecules from noise",
                labels={"figure": "limit on iterations, {compositions}"},
            ),
            multiext(
                f"{RESULTS}/figures/generation_limits_{{compositions}}",
                ".pdf",
                ".csv",
            ),
        log:
            f"{LOGS}/generation_limits/{{compositions}}.log",
        benchmark:
            f"{BENCHMARKS}/generation_limits/{{compositions}}.tsv"
        wildcard_constraints:
            compositions=one_of(from_noise.compositions),
        conda:
            "../../envs/prerelax.yaml"
        params:
            runs=lambda wildcards: flags("run", run_words(wildcards.compositions)),
            figure=subpath(output[0], strip_suffix=".png"),
        shell:
            "prerelax generation-limits {params.figure:q} {params.runs:q} --known {input.known:q} > {log:q} 2>&1"

    rule generation_pictures:
        input:
            f"{FROM_NOISE}/{{compositions}}/{{run}}/judged.csv",
        output:
            report(
                f"{RESULTS}/figures/generated_{{compositions}}_{{run}}.png",
                caption="../report/generated.rst",
                category="Molecules from noise",
                labels={"figure": "pictures, {compositions}, {run}"},
            ),
            multiext(
                f"{RESULTS}/figures/generated_{{compositions}}_{{run}}",
                ".pdf",
                ".csv",
            ),
        log:
            f"{LOGS}/generation_pictures/{{compositions}}/{{run}}.log",
        benchmark:
            f"{BENCHMARKS}/generation_pictures/{{compositions}}/{{run}}.tsv"
        wildcard_constraints:
            compositions=one_of(from_noise.compositions),
            run=one_of(from_noise.runs),
        conda:
            "../../envs/prerelax.yaml"
        params:
            run=lambda wildcards, input: f"{wildcards.compositions}:{wildcards.run}:{Path(input[0]).parent}",
            figure=subpath(output[0], strip_suffix=".png"),
            pictures=from_noise.pictures,
        shell:
            "prerelax generation-pictures {params.figure:q} --run {params.run:q}"
            " --pictures {params.pictures} > {log:q} 2>&1"


if schedules:

    rule schedules:
        input:
            weights=weights_if_trained(schedules.model),
            structures=schedules.structures,
        output:
            report(
                f"{RESULTS}/figures/schedules.png",
                caption="../report/schedules.rst",
                category="Time steps",
                labels={"figure": "fixed and adaptive schedule"},
            ),
            multiext(
                f"{RESULTS}/figures/schedules",
                ".pdf",
                ".csv",
                "_numbers.csv",
                "_ends.csv",
            ),
        log:
            f"{LOGS}/schedules.log",
        benchmark:
            f"{BENCHMARKS}/schedules.tsv"
        conda:
            "../../envs/prerelax.yaml"
        threads: 2
        params:
            model=folder_if_trained(schedules.model),
            steps=flags("step", schedules.steps),
            molecules=schedules.molecules,
            iterations=schedules.max_iterations,
            seed=schedules.seed,
            figure=subpath(output[0], strip_suffix=".png"),
        shell:
            "OMP_NUM_THREADS={threads} prerelax schedules {params.figure:q} --model {params.model:q}"
            " --structures {input.structures:q} {params.steps} --molecules {params.molecules}"
            " --max-iterations {params.iterations} --seed {params.seed} > {log:q} 2>&1"


if shells:

    rule shells:
        input:
            weights=weights_if_trained(shells.model),
            structures=shells.structures,
        output:
            report(
                f"{RESULTS}/figures/shells.png",
                caption="../report/shells.rst",
                category="Time steps",
                labels={"figure": "shells of noise"},
            ),
            multiext(f"{RESULTS}/figures/shells", ".pdf", ".csv", "_numbers.csv"),
        log:
            f"{LOGS}/shells.log",
        benchmark:
            f"{BENCHMARKS}/shells.tsv"
        conda:
            "../../envs/prerelax.yaml"
        threads: 2
        params:
            model=folder_if_trained(shells.model),
            molecules=shells.molecules,
            points=shells.points,
            seed=shells.seed,
            figure=subpath(output[0], strip_suffix=".png"),
        shell:
            "OMP_NUM_THREADS={threads} prerelax shells {params.figure:q} --model {params.model:q}"
            " --structures {input.structures:q} --molecules {params.molecules} --points {params.points}"
            " --seed {params.seed} > {log:q} 2>&1"
