# So that `snakemake` works at the root of the repository.
include: "workflow/Snakefile"


workflow.default_target = "all"  # an included file does not set it
