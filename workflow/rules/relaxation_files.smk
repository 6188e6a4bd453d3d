"""What the study of relaxations with a known minimum is made from."""

relaxation = studies.relaxation

# What each table is made of: (method, input), the start METHOD-INPUT.
RELAXATION_TABLES = relaxation.tables(campaign.starts) if relaxation else {}


def relaxation_shards(wildcards):
    made = [f"{m}-{name}" for m, name in RELAXATION_TABLES[wildcards.table]]
    starts = [relaxation.reference, *relaxation.inputs, *made]
    return [frames_of_start(start, shard) for start in starts for shard in SHARDS]


def relaxation_figures():
    """Kind, table and methods of every figure that is drawn from a table."""
    if not relaxation:
        return {}
    figures = {
        name: (name, "methods", relaxation.methods)
        for name in ("ratios", "bins", "sizes")
    }
    figures["seconds"] = ("seconds", "methods", relaxation.methods)
    if relaxation.predicting:
        figures["steps"] = ("steps", "methods", relaxation.predicting)
    return figures | {
        f"bins_{name}": ("bins", name, methods)
        for name, methods in relaxation.comparisons.items()
    }


RELAXATION_FIGURES = relaxation_figures()


def repeat_flags(wildcards):
    _, table, methods = RELAXATION_FIGURES[wildcards.figure]
    repeats = relaxation.repeats if table == "methods" else {}
    return flags(
        "repeat", [f"{m}:{again}" for m in methods for again in repeats.get(m, [])]
    )


def serial_flags(wildcards):
    return flags("serial", relaxation.serial if wildcards.figure == "seconds" else [])


ENERGY_METHODS = []
ENERGY_STARTS = {}  # start: how many of its rows are evaluated
if relaxation and relaxation.energies:
    ENERGY_METHODS = relaxation.energies.methods or relaxation.methods
    n = relaxation.energies.molecules
    of_input = [
        relaxation.energies.input,
        *(f"{m}-{relaxation.energies.input}" for m in ENERGY_METHODS),
    ]
    ENERGY_STARTS = {relaxation.reference: n} | {
        start: n * campaign.rows_of_minimum(relaxation.energies.input)
        for start in of_input
    }
CURVES = relaxation.curves if relaxation else []

STUDY_FIGURES += expand(
    f"{RESULTS}/figures/relaxation_{{name}}.png",
    name=[
        *RELAXATION_FIGURES,
        *(["energies"] if ENERGY_STARTS else []),
        *(
            f"drawings_{name}"
            for name in (
                relaxation.inputs if relaxation and relaxation.drawn_by else []
            )
        ),
    ],
)
STUDY_FIGURES += [f"{RESULTS}/figures/training_curves.png"] if CURVES else []
