"""What trainings are made from, what pilots are, and what inputs of known minima are."""

sets_with_labels = [name for name, made in campaign.sets.items() if made.labels]
sets_of_minima = [name for name in campaign.sets if name not in sets_with_labels]
sets_of_molecules = [name for name, made in campaign.sets.items() if made.molecules]


def molecules_of_set(wildcards):
    """The molecules themselves, or another set's minima."""
    source = campaign.sets[wildcards.set].from_
    folder, name = (
        (wildcards.set, "molecules") if source is None else (source, "minima")
    )
    return layout.set_shard(folder, name)


def trained_on(wildcards):
    """All that a training reads: its data, the molecules that it leaves out, a model of this campaign.

    A dry run names what of it is missing. Data that are only newer train nothing again: hours are at stake,
    and what is read of them is in the settings.
    """
    said = campaign.denoisers[wildcards.denoiser]
    made = [layout.set(said.data.set)] if said.data.set else []
    made += [
        layout.weights(name) for name in campaign.denoisers if name == said.weights
    ]
    data = map(str, training(campaign, wildcards.denoiser).data.files)
    return made + [ancient(path) for path in data if path not in made]


def training_settings(wildcards):
    return training(campaign, wildcards.denoiser).to_json()


def displaced_settings(wildcards):
    start = campaign.starts[wildcards.start]
    return displacing(campaign, start.set, start.displacements)


def set_of_displaced(wildcards):
    """The set that a start's displacements come from: given, or made of the molecules of the shard."""
    given = campaign.starts[wildcards.start].set
    if given in campaign.sets:
        return layout.displacements(wildcards.start, wildcards.shard)
    return expand_path(given)


def adapting(wildcards):
    return campaign.starts[wildcards.start].adapt


def shards_of_pilot(wildcards):
    """Molecules that the fragments are cut from."""
    chosen = [SHARDS[number] for number in spread(len(SHARDS))]
    return expand(layout.start("rdkit", "{shard}"), shard=chosen)


def lesson_after(wildcards):
    """The training that the molecules of a round are relaxed for."""
    return next(
        lesson
        for lesson in LESSONS.values()
        if (lesson.start, str(lesson.after)) == (wildcards.start, wildcards.after)
    )


def model_before(wildcards):
    """The model with which the molecules of a later round are denoised."""
    rounds = adapting(wildcards).learned_from
    before = rounds[rounds.index(int(wildcards.after)) - 1]
    return f"{wildcards.start}.{before}"


def frames_of_pilot(wildcards):
    """A force field's geometries, or those that an earlier round learned to make of them."""
    after = wildcards.of_round.rstrip("/")
    is_later = after and int(after) > adapting(wildcards).learned_from[0]
    stage = wildcards.of_round + ("denoised" if is_later else "forcefield")
    return layout.pilot(wildcards.start, stage, wildcards.part)


def settings_of_pilot(wildcards):
    """Fragments are all relaxed, molecules as far as the target treats them."""
    target = campaign.targets[adapting(wildcards).target]
    if adapting(wildcards).on == "fragments":
        target = target.model_copy(update={"only": Only()})
    return relaxing(campaign, layout, target)


def minutes_of_pilot(wildcards):
    """At DFT the target may be any."""
    return 60 if adapting(wildcards).target in targets_of(cheap=True) else 1440


def base_weights(wildcards):
    start = campaign.starts[LESSONS[wildcards.model].start]
    return [layout.weights(name) for name in campaign.denoisers if name == start.model]
