"""GFN2-xTB as slow, hungry or deadly as DFT can be: every Python of a test's jobs finds this by PYTHONPATH.

The chemistry stays tblite's. Environment variables say what happens besides:
ENGINE_LOG gets a line for each relaxation begun, ENGINE_DELAY_S passes before each gradient and as long as
the file ENGINE_HOLD exists, a molecule with nitrogen takes ENGINE_NITROGEN_MB of memory or dies of the signal
ENGINE_NITROGEN_SIGNAL, and shards become visible under their names only VISIBLE_AFTER_S after they were
written.
"""

import importlib.abc
import importlib.util
import os
import sys
import time
from pathlib import Path

NITROGEN = 7
SCHEDULER_LOOKS_S = 3  # at the memory of a job: once a second, where the machine is not busy


def change_engine(engine):
    calculate = engine.XTB.calculate
    delay_s = float(os.environ.get("ENGINE_DELAY_S", "0"))
    hold = os.environ.get("ENGINE_HOLD", "")
    nitrogen_mb = int(os.environ.get("ENGINE_NITROGEN_MB", "0"))
    nitrogen_signal = int(os.environ.get("ENGINE_NITROGEN_SIGNAL", "0"))

    def slow_calculate(self, atoms=None, *arguments, **options):
        if not hasattr(self, "ballast"):
            with Path(os.environ["ENGINE_LOG"]).open("a") as log:
                log.write(f"{atoms.get_chemical_formula()} {os.environ.get('SLURM_JOB_ID', 'local')}\n")
            self.ballast = b""
            if nitrogen_mb and NITROGEN in atoms.numbers:
                self.ballast = b"\1" * (nitrogen_mb << 20)
                time.sleep(SCHEDULER_LOOKS_S)
        time.sleep(delay_s)
        while hold and Path(hold).exists():
            time.sleep(0.2)
        if nitrogen_signal and NITROGEN in atoms.numbers:
            os.kill(os.getpid(), nitrogen_signal)
        calculate(self, atoms, *arguments, **options)

    engine.XTB.calculate = slow_calculate


def change_records(records):
    write_atomically = records.write_atomically
    delay_s = float(os.environ["VISIBLE_AFTER_S"])

    def write_late(path, write):
        hidden = path.with_name(f".late-{path.name}")
        write_atomically(hidden, write)
        if os.fork() == 0:
            os.setsid()
            time.sleep(delay_s)
            hidden.replace(path)
            os._exit(0)

    records.write_atomically = write_late


class ChangeOnImport(importlib.abc.MetaPathFinder):
    def __init__(self, changes):
        self.changes = changes

    def find_spec(self, name, path, target=None):
        if name not in self.changes:
            return None
        change = self.changes.pop(name)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_change(module):
            execute(module)
            change(module)

        spec.loader.exec_module = execute_and_change
        return spec


CHANGES = {}
if "ENGINE_LOG" in os.environ:
    CHANGES["prerelax.engines.tblite"] = change_engine
if "VISIBLE_AFTER_S" in os.environ:
    CHANGES["prerelax.records.shard"] = change_records
sys.meta_path.insert(0, ChangeOnImport(CHANGES))
