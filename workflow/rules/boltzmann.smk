# One denoising step repeated, against Metropolis Monte Carlo: a job for each step and for each temperature.

BOLTZMANN = f"{RESULTS}/boltzmann"

if boltzmann:

    rule boltzmann_molecules:
        input:
            [frames_of_start(boltzmann.minima, shard) for shard in SHARDS],
        output:
            frames=f"{BOLTZMANN}/minima.extxyz",
            table=f"{BOLTZMANN}/minima.parquet",
        log:
            f"{LOGS}/boltzmann_molecules.log",
        benchmark:
            f"{BENCHMARKS}/boltzmann_molecules.tsv"
        conda:
            "../../envs/prerelax.yaml"
        params:
            molecules=boltzmann.molecules,
        shell:
            "prerelax boltzmann-molecules {output.frames:q} {input:q} --molecules {params.molecules} > {log:q} 2>&1"

    # A chain goes on from what its job kept beside the output, however the job ended.
    rule metropolis:
        input:
            rules.boltzmann_molecules.output.frames,
        output:
            f"{BOLTZMANN}/metropolis/{{temperature}}K.parquet",
        log:
            f"{LOGS}/metropolis/{{temperature}}K.log",
        benchmark:
            f"{BENCHMARKS}/metropolis/{{temperature}}K.tsv"
        wildcard_constraints:
            temperature=r"[\d.]+",
        conda:
            "../../envs/prerelax.yaml"
        threads: 2
        params:
            options=engine_options(campaign.targets[boltzmann.target]),
            proposals=boltzmann.proposals,
            burn_in=boltzmann.proposals_burn_in,
            seed=boltzmann.seed,
        shell:
            "prerelax metropolis {input:q} {output:q} {params.options:q} --temperature {wildcards.temperature}"
            " --steps {params.proposals} --burn-in {params.burn_in} --seed {params.seed} --workers {threads}"
            " > {log:q} 2>&1"

    rule repeated_step:
        input:
            minima=rules.boltzmann_molecules.output.frames,
            weights=lambda wildcards: weights_if_trained(boltzmann.model),
        output:
            rows=f"{BOLTZMANN}/{{scheme}}/rows-n{{step}}.extxyz",
            table=f"{BOLTZMANN}/{{scheme}}/rows-n{{step}}.parquet",
            frames=temp(f"{BOLTZMANN}/{{scheme}}/n{{step}}.extxyz"),
        log:
            f"{LOGS}/repeated_step/{{scheme}}-n{{step}}.log",
        benchmark:
            f"{BENCHMARKS}/repeated_step/{{scheme}}-n{{step}}.tsv"
        wildcard_constraints:
            scheme="repeat|perturb",
            step=r"\d+",
        conda:
            "../../envs/prerelax.yaml"
        params:
            model=folder_if_trained(boltzmann.model),
            repeats=boltzmann.repeats,
            burn_in=boltzmann.burn_in,
            every=boltzmann.every,
            seed=boltzmann.seed,
        shell:
            "OMP_NUM_THREADS={threads} prerelax boltzmann {input.minima:q} {output.rows:q} {output.frames:q}"
            " --model {params.model:q} --step {wildcards.step} --scheme {wildcards.scheme} --repeats {params.repeats}"
            " --burn-in {params.burn_in} --every {params.every} --seed {params.seed} > {log:q} 2>&1"

    rule repeated_step_energies:
        input:
            f"{BOLTZMANN}/repeat/n{{step}}.extxyz",
        output:
            f"{BOLTZMANN}/energies/n{{step}}.extxyz",
        log:
            f"{LOGS}/repeated_step_energies/n{{step}}.log",
        benchmark:
            f"{BENCHMARKS}/repeated_step_energies/n{{step}}.tsv"
        wildcard_constraints:
            step=r"\d+",
        conda:
            "../../envs/prerelax.yaml"
        threads: 2
        params:
            options=engine_options(campaign.targets[boltzmann.target]),
        shell:
            "prerelax energies {input:q} {output:q} {params.options:q} --workers {threads} > {log:q} 2>&1"

    rule boltzmann_figures:
        input:
            metropolis=[
                f"{BOLTZMANN}/metropolis/{kelvin:g}K.parquet"
                for kelvin in boltzmann.temperatures_k
            ],
            diffusion=expand(
                f"{BOLTZMANN}/energies/n{{step}}.extxyz", step=boltzmann.steps
            ),
            rows=expand(
                f"{BOLTZMANN}/repeat/rows-n{{step}}.extxyz", step=boltzmann.steps
            ),
            control=expand(
                f"{BOLTZMANN}/perturb/rows-n{{step}}.extxyz", step=boltzmann.control
            ),
        output:
            [
                report(
                    f"{RESULTS}/figures/{name}.png",
                    caption=f"../report/{name}.rst",
                    category="What the model knows",
                    labels={"figure": words},
                )
                for name, words in BOLTZMANN_FIGURES.items()
            ],
            expand(
                f"{RESULTS}/figures/{{name}}.{{kind}}",
                name=BOLTZMANN_FIGURES,
                kind=["pdf", "csv"],
            ),
            f"{RESULTS}/figures/boltzmann_temperature_numbers.csv",
        log:
            f"{LOGS}/boltzmann_figures.log",
        benchmark:
            f"{BENCHMARKS}/boltzmann_figures.tsv"
        conda:
            "../../envs/prerelax.yaml"
        params:
            folder=subpath(output[0], parent=True),
            metropolis=lambda wildcards, input: flags("metropolis", input.metropolis),
            diffusion=lambda wildcards, input: flags("diffusion", input.diffusion),
            rows=lambda wildcards, input: flags("rows", input.rows),
            control=lambda wildcards, input: flags("control", input.control),
        shell:
            "prerelax boltzmann-figures {params.folder:q} {params.metropolis:q} {params.diffusion:q}"
            " {params.rows:q} {params.control:q} > {log:q} 2>&1"
