"""Calculators that lie are found out before a campaign trusts them."""

from pathlib import Path

import pytest

from prerelax.engines import EngineError, Level
from prerelax.engines.ase.process import _KEPT
from prerelax.engines.honesty import DishonestError, check_honest, report_trials, trials
from prerelax.errors import UserError

TOLD = {"keywords": {"charge": "charge", "multiplicity": "mult"}}


def morse(electrons=TOLD, elements=None, **options):
    return Level(
        engine="ase",
        method="Morse",
        calculator="odd_calculators:Morse",
        electrons=electrons,
        options=options,
        elements=elements,
    )


@pytest.fixture(autouse=True)
def site(tmp_path, monkeypatch):
    path = tmp_path / "site.yaml"
    path.write_text("allow_calculators: [odd_calculators]\n")
    monkeypatch.setenv("PRERELAX_SITE", str(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    yield path
    for process in _KEPT.values():
        process.close()


def test_an_honest_one_passes_and_is_not_tried_again(site) -> None:
    done = list(trials(morse()))
    assert [trial.verdict for trial in done] == ["ok"] * 5
    check_honest(morse())
    for process in _KEPT.values():
        process.close()
    check_honest(morse())
    assert not any(process.is_alive for process in _KEPT.values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"energy_scale": 1 / 27.2114, "force_scale": 1 / 51.422},
            "its energies seem to be in Hartree, not eV",
        ),
        ({"energy_scale": 23.06, "force_scale": 23.06}, "its energies seem to be in kcal/mol, not eV"),
        ({"energy_scale": -1.0}, "its energies are not in eV"),
        ({"force_scale": 1 / 51.422}, "its forces seem to be in Hartree/bohr"),
        ({"force_scale": 0.529177}, "its forces seem to be in eV/bohr"),
        ({"force_scale": -1.0}, "its forces seem to be of the opposite sign"),
        ({"force_scale": 0.0}, "its forces are not its energy's derivative"),
        ({"behaviour": "drift"}, "where one geometry is computed again"),
        (
            {"by_charge": 0.0, "by_spin": 0.0},
            "for another charge, which it ignores; leave charge out of electrons",
        ),
        ({"by_charge": 0.0}, "for another charge, which it ignores"),  # the multiplicity makes a difference
        ({"by_spin": 0.0}, "for another multiplicity, which it ignores"),
    ],
)
def test_what_is_wrong_is_named(options, words) -> None:
    with pytest.raises(DishonestError, match=words):
        check_honest(morse(elements=["H"], **options))


def test_charges_are_tried_on_closed_shells_where_it_knows_no_others() -> None:
    only_charge = {"methods": {"charge": "set_charge"}}
    assert [trial.verdict for trial in trials(morse(only_charge))] == ["ok"] * 4 + ["not tried"]
    with pytest.raises(DishonestError, match="for another charge, which it ignores"):
        check_honest(morse(only_charge, by_charge=0.0))


@pytest.mark.parametrize("keywords", [{"charge": "q"}, {"charge": "q", "multiplicity": "mult"}])
def test_a_keyword_that_it_leaves_out_is_found_where_it_counts_electrons(keywords) -> None:
    level = morse({"keywords": keywords}).model_copy(update={"calculator": "odd_calculators:Counting"})
    with pytest.raises(DishonestError, match="see whether electrons names what it takes charge by"):
        check_honest(level)


def test_one_that_is_told_nothing_is_tried_on_neutral_molecules() -> None:
    verdicts = [trial.verdict for trial in trials(morse({}))]
    assert verdicts == ["ok"] * 3 + ["not tried"] * 2


def test_one_for_other_elements_is_tried_on_those() -> None:
    with pytest.raises(DishonestError, match="N2 has a force constant"):
        check_honest(morse(elements=["N"]))
    with pytest.raises(UserError, match=r"treats none of H2O, N2, CH4, .*: its elements are He"):
        check_honest(morse(elements=["He"]))


def test_one_that_fails_alike_for_three_molecules_is_not_tried_on_nine(site, monkeypatch) -> None:
    asked = []

    def unlicensed(level, **electrons):
        asked.append(level)
        raise EngineError("unknown_error", "mine: no licence")

    monkeypatch.setattr("prerelax.engines.honesty.make_calculator", unlicensed)
    with pytest.raises(UserError, match="it fails for H2O, N2, CH4: mine: no licence"):
        check_honest(morse())
    assert len(asked) == 3


def test_one_that_hangs_is_waited_for_once(site, monkeypatch) -> None:
    asked = []

    def hangs(level, **electrons):
        asked.append(level)
        raise EngineError("timeout", "mine gave no answer in 8 s and was stopped")

    monkeypatch.setattr("prerelax.engines.honesty.make_calculator", hangs)
    with pytest.raises(UserError, match="cannot be tried: mine gave no answer in 8 s"):
        check_honest(morse())
    assert len(asked) == 1


def test_what_is_missing_is_said_before_anything_is_tried(site) -> None:
    site.write_text("programs: {nwchem: {command: no-such-nwchem}}\n")
    level = Level(engine="ase", method="B3LYP", basis="6-31G*", calculator="nwchem")
    with pytest.raises(UserError, match=r"the program no-such-nwchem .* is not installed here"):
        report_trials("mine", level, print)


def test_each_trial_is_named_before_it_is_run(site) -> None:
    written = []

    def write(text):
        alive = [process for process in _KEPT.values() if process.is_alive]
        written.append((text, len(alive)))

    assert report_trials("targets.mine", morse({}), write)
    assert written[0] == ("targets.mine: Morse (odd_calculators:Morse)\n", 0)
    assert written[1] == (f"  {'energies are in eV':<38}  ", 0)  # before its process is started
    assert written[2][0].startswith("ok         H2 has a force constant of")
    assert [text.split()[0] for text, _ in written[2::2]] == ["ok"] * 3 + ["not"] * 2


def test_one_that_hangs_ends_by_the_limit_with_advice(site) -> None:
    site.write_text(site.read_text() + "gradient_limit_s: 0.5\n")
    written = []
    assert not report_trials("mine", morse(elements=["N"], behaviour="hang"), written.append)
    assert "odd_calculators:Morse gave no answer in 0.5 s and was stopped; see whether it runs" in written[2]
    assert f"to wait longer, set `gradient_limit_s` in {site}" in written[2] and len(written) == 3


def test_engines_of_our_own_are_not_tried_in_campaigns() -> None:
    check_honest(Level(engine="tblite", method="no such method"))
