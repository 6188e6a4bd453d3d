"""Nodes and the controller of a real SLURM stopped and started; needs the cluster for itself."""

import subprocess
import time
from collections.abc import Iterator

import pytest
from slurm_campaign import FORMULAS, SHARD, Cluster, control, slurm, wait_for

pytestmark = pytest.mark.cluster

ALL_ROWS = {"ok": len(FORMULAS), "input_error": 1}


def idle_nodes() -> int:
    return len(set(slurm("sinfo", "--noheader", "--Node", "--states=idle", "--format=%N").split()))


@pytest.fixture(autouse=True)
def whole_cluster_afterwards() -> Iterator[None]:
    yield
    if subprocess.run(["squeue"], capture_output=True, timeout=60).returncode:
        control("start-controller")
    for node in ("c1", "c2", "g1"):
        if node in slurm("sinfo", "--noheader", "--Node", "--states=down", "--format=%N").split():
            control("start-node", node)
    wait_for(lambda: idle_nodes() == 3, 60, "all nodes idle")


def node_of(job: str) -> str:
    return slurm("squeue", "--noheader", "--jobs", job, "--format=%N").strip()


@pytest.mark.slow
def test_a_node_daemon_restarted_does_not_disturb_its_job(ready: Cluster) -> None:
    ready.environment["ENGINE_DELAY_S"] = "0.3"
    ready.start(SHARD)
    node = node_of(ready.wait_for_relaxations(2))
    control("stop-node", node)
    control("start-node", node)
    assert ready.finish() == 0, ready.log
    assert set(ready.states().values()) == {"COMPLETED"} and len(ready.jobs) == 1
    assert ready.begun.total() == len(FORMULAS)
    assert ready.rows() == ALL_ROWS


def job_of_a_lost_node(ready: Cluster) -> str:
    """The number of a job whose node SLURM takes for dead, as after SlurmdTimeout; its processes go on."""
    ready.environment["ENGINE_DELAY_S"] = "0.7"
    ready.start(SHARD)
    job = ready.wait_for_relaxations(2)
    node = node_of(job)
    control("stop-node", node)
    slurm("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=silent")
    return job


def test_a_lost_nodes_job_goes_on_elsewhere(ready: Cluster) -> None:
    """SLURM takes the node for dead while its job's processes still run and hold the shard."""
    ready.profile["slurm-requeue"] = False
    first = job_of_a_lost_node(ready)
    wait_for(lambda: ready.states()[first] == "NODE_FAIL", 60, "SLURM gives the node up")
    assert ready.finish() == 0, ready.log
    assert "SLURM status is: 'NODE_FAIL'" in ready.log
    assert ready.begun.total() == len(FORMULAS)
    assert ready.rows() == ALL_ROWS


@pytest.mark.slow
def test_a_lost_nodes_job_that_slurm_requeues_goes_on_elsewhere(ready: Cluster) -> None:
    """The job keeps its number; its first processes still run and hold the shard."""
    first = job_of_a_lost_node(ready)
    assert ready.finish() == 0, ready.log
    assert ready.states() == {first: "COMPLETED"}
    assert ready.begun.total() == len(FORMULAS)
    assert ready.rows() == ALL_ROWS


def preempted(ready: Cluster) -> str:
    """The number of a job that runs no more, since an urgent one took its node for some seconds."""
    ready.environment["ENGINE_DELAY_S"] = "0.7"
    ready.start(SHARD)
    job = ready.wait_for_relaxations(3)
    command = ["sbatch", "--parsable", "--partition=urgent", f"--nodelist={node_of(job)}", "--exclusive"]
    urgent = slurm(*command, "--output=/dev/null", "--wrap=sleep 8").strip()
    wait_for(lambda: ready.states()[job] != "RUNNING", 60, f"job {job} gives way to {urgent}")
    return job


@pytest.mark.slow
def test_a_preempted_job_that_slurm_gives_up_is_submitted_again_and_resumes(ready: Cluster) -> None:
    ready.profile["slurm-requeue"] = False
    first = preempted(ready)
    assert ready.finish() == 0, ready.log
    assert [ready.states()[job] for job in ready.jobs] == ["PREEMPTED", "COMPLETED"]
    assert ready.jobs[0] == first and "SLURM status is: 'CANCELLED'" in ready.log
    assert ready.begun.total() <= len(FORMULAS) + 1
    assert ready.rows() == ALL_ROWS


@pytest.mark.slow
def test_a_preempted_job_that_slurm_requeues_resumes(ready: Cluster) -> None:
    first = preempted(ready)
    assert ready.finish() == 0, ready.log
    assert ready.states() == {first: "COMPLETED"}
    assert ready.begun.total() <= len(FORMULAS) + 1
    assert ready.rows() == ALL_ROWS


def controller_outage(ready: Cluster, seconds: float) -> None:
    control("stop-controller")
    assert subprocess.run(["squeue"], capture_output=True, timeout=60).returncode != 0
    time.sleep(seconds)
    control("start-controller")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [20, 120])
def test_an_unreachable_controller_is_waited_for(ready: Cluster, seconds: float) -> None:
    ready.environment["ENGINE_DELAY_S"] = "0.3"
    ready.start(SHARD)
    ready.wait_for_relaxations(2)
    controller_outage(ready, seconds)
    assert ready.finish(300) == 0, ready.log
    assert ready.begun.total() == len(FORMULAS)
    assert ready.rows() == ALL_ROWS
