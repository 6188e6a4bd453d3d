"""`prerelax run`: one line from molecules to minima. It writes a campaign file and has Snakemake run it."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from prerelax.campaign.config import Campaign
from prerelax.campaign.inspection import check_weights
from prerelax.campaign.layout import Layout
from prerelax.campaign.plan import duration, make_plan
from prerelax.campaign.stages import read_campaign
from prerelax.campaign.status import CampaignStatus, campaign_status
from prerelax.errors import UserError, several
from prerelax.exports.export import export
from prerelax.exports.minima import chosen_target
from prerelax.runs.live import Progress, Screen
from prerelax.runs.meant import Meant
from prerelax.shipped import shipped

POLL_S = 1.0
GOALS = ("compare", "page")
"""Rules of the workflow: the comparison and the page, not the figures of a paper, which take longer."""
KINDS = ("sdf", "csv")
"""of exports written at the end"""


def run(meant: Meant, *, cores: int, profile: str | None, dry_run: bool, say: Callable[[str], None]) -> int:
    """Write the campaign, say what it will cost, run it with live lines, and say what came out.

    Returns Snakemake's exit status; 130 where it was stopped by Ctrl-C. Called again it goes on. Raises
    UserError for a wrong file or word.
    """
    meant.write()
    campaign = read_campaign(meant.path)
    check_weights(campaign)
    say(f"campaign file: {meant.path}")
    say(_cost(campaign, cores))
    if dry_run:
        return 0
    results = Layout.of(campaign.campaign).folder
    log = results / "logs" / "run.log"
    code = _watched(campaign, snakemake_call(meant.path, cores, profile), log, sys.stdout)
    if code == 130:
        say("stopped; what is finished is kept, and the same line goes on from there")
        return code
    if code != 0:
        say(_why(log))
        return code
    say(_summary(results))
    first = chosen_target(campaign, None)
    for target in (name for name in campaign.targets if name != campaign.baseline.target):
        for kind in KINDS:
            out = None if target == first else results / f"minima-{target}.{kind}"
            say(export(meant.path, kind, target=target, out=out))
    say(f"{results}/report.html: every molecule, figures, what was saved")
    say(f"more: prerelax export {meant.path} --to orca|gaussian|qcschema|xyz|ase-db|si")
    return 0


def snakemake_call(config: Path, cores: int, profile: str | None) -> list[str]:
    """The call of Snakemake; `profile` is a folder, or the name of a shipped one."""
    call = [sys.executable, "-m", "snakemake", *GOALS, "--snakefile", str(shipped("workflow/Snakefile"))]
    call += ["--configfile", str(config), "--nolock"]
    if profile is None:
        return [*call, "--cores", str(cores)]
    folder = Path(profile)
    if not folder.is_dir() and profile == "slurm":
        folder = shipped("slurm")
    if not folder.is_dir():
        raise UserError(f"--profile {profile}: no such folder; `slurm` is shipped, `prerelax init` copies it")
    return [*call, "--profile", str(folder)]


def _cost(campaign: Campaign, cores: int) -> str:
    plan = make_plan(campaign)
    seconds = sum(float(each.core_s[each.to_do].sum()) for each in plan.stages)
    if not any(each.to_do.any() for each in plan.stages):
        return f"{several(plan.n_rows, 'molecule')}: all is relaxed already"
    guessed = any(each.cost.source == "first guess" and each.to_do.any() for each in plan.stages)
    hours = f"{seconds / 3600:.1f} core hours" if seconds >= 360 else f"{seconds / 60:.1f} core minutes"
    wall = duration(seconds / cores)
    doubt = " (a first guess; `prerelax plan --measure` times a few gradients)" if guessed else ""
    return f"{several(plan.n_rows, 'molecule')}, about {hours}: {wall} on {several(cores, 'core')}{doubt}"


def _watched(campaign: Campaign, call: Sequence[str], log: Path, out: TextIO) -> int:
    """Run Snakemake with its output in `log`, showing how far the stages are."""
    screen, progress = Screen(out), Progress()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with alone(log.parent) as lock, log.open("w") as file:
        process = subprocess.Popen(
            call, stdout=file, stderr=subprocess.STDOUT, env=environment, pass_fds=(lock,)
        )
        try:
            with _stopped_by(process, signal.SIGTERM, signal.SIGHUP):
                while process.poll() is None:
                    _show(campaign, screen, progress)
                    time.sleep(POLL_S)
        except KeyboardInterrupt:  # Snakemake, of the same terminal, was told as well and ends its jobs
            _wait_for_its_end(process)
            return 130
    _show(campaign, screen, progress, last=True)
    return process.returncode


@contextmanager
def alone(logs: Path) -> Iterator[int]:
    """Holds a campaign while its Snakemake lives, even if this process is killed. Raises UserError.

    In place of Snakemake's own lock, which a kill leaves behind. Snakemake inherits the descriptor given.
    """
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "run.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{logs.parent}: this campaign runs already; wait for it, or stop it with Ctrl-C there"
            ) from None
        yield file.fileno()


@contextmanager
def _stopped_by(process: "subprocess.Popen[bytes]", *signals: signal.Signals) -> Iterator[None]:
    """Pass these signals, which a terminal does not send to both, on as Ctrl-C."""

    def stop(number: int, frame: object) -> None:
        process.send_signal(signal.SIGINT)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _wait_for_its_end(process: "subprocess.Popen[bytes]") -> None:
    for _ in range(2):
        try:
            process.wait(60)
            return
        except KeyboardInterrupt:
            continue
        except subprocess.TimeoutExpired:
            break
    process.terminate()
    process.wait()


def _show(campaign: Campaign, screen: Screen, progress: Progress, last: bool = False) -> None:
    try:
        status: CampaignStatus = campaign_status(campaign)
    except UserError:  # nothing is there in the first moments
        return
    if status.n_shards:
        screen.show(progress.lines(status, in_hand=screen.is_terminal and not last), last)


def _summary(results: Path) -> str:
    log = results / "logs" / "compare.log"
    return log.read_text(errors="replace").strip() if log.is_file() else ""


def _why(log: Path, most: int = 12) -> str:
    """What each job that failed said last; the end of what Snakemake said where no job did."""
    text = log.read_text(errors="replace")
    failed = dict.fromkeys(re.findall(r"^ +log: (.+?) \(check log file", text, flags=re.MULTILINE))
    lines = [f"{path}: {_last_line(Path(path))}" for path in failed]
    more = [f"and {len(lines) - most} more jobs failed"] if len(lines) > most else []
    said = [line for line in text.splitlines() if line.strip()] if not lines else []
    end = f"it did not run to its end; all that was said: {log}"
    return "\n".join([*lines[:most], *more, *said[-most:], end])


def _last_line(path: Path) -> str:
    try:
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return lines[-1].strip() if lines else "said nothing; killed, most likely for its memory or time"
