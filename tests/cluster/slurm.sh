#!/usr/bin/env bash
# A real SLURM on this machine for tests: munge, slurmctld and three slurmd from Debian's packages, without
# systemd and cgroups. Nodes c1 and c2 are the partition cpu, g1 with a pretended GPU is the partition gpu. Jobs of
# the partition urgent preempt those of cpu.
# Run as root; what `install` and `start` bring, `stop` and `uninstall` take away.
set -euo pipefail

FOLDER=${PRERELAX_TEST_SLURM:-/var/tmp/prerelax-test-slurm}
CPUS=2
MEMORY_MB=4000
PACKAGES=(munge slurmctld slurmd slurm-client)
INSTALLED=$FOLDER/installed-packages

why_not() { # one sentence where a cluster cannot be started here, nothing where it can
  if [ "$(id -u)" != 0 ]; then
    echo "SLURM's daemons need root"
  elif [ -e /etc/slurm/slurm.conf ] && ! grep -q "^ClusterName=prerelax-test$" /etc/slurm/slurm.conf; then
    echo "this machine belongs to a SLURM cluster already (/etc/slurm/slurm.conf)"
  elif ! command -v slurmctld slurmd munged srun > /dev/null && ! command -v apt-get > /dev/null; then
    echo "SLURM is not installed and there is no apt-get to install it with"
  fi
}

install_packages() {
  if command -v slurmctld slurmd munged srun > /dev/null; then return; fi
  mkdir -p "$FOLDER"
  dpkg-query -W -f '${binary:Package}\n' | sort > "$FOLDER/packages-before"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get install -y --no-install-recommends "${PACKAGES[@]}"; } > "$FOLDER/apt.log" 2>&1 ||
    { tail -n 5 "$FOLDER/apt.log" >&2; return 1; }
  dpkg-query -W -f '${binary:Package}\n' | sort | comm -13 "$FOLDER/packages-before" - > "$INSTALLED"
}

uninstall_packages() { # only what `install` brought
  if [ -s "$INSTALLED" ]; then
    xargs -a "$INSTALLED" env DEBIAN_FRONTEND=noninteractive apt-get purge -y > /dev/null 2>&1
  fi
  rm -rf "$FOLDER"
}

write_configuration() {
  cat > /etc/slurm/slurm.conf << X
ClusterName=prerelax-test
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
SlurmctldPort=16817
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmctldLogFile=$FOLDER/slurmctld.log
StateSaveLocation=$FOLDER/state
SlurmdPidFile=$FOLDER/slurmd.%n.pid
SlurmdLogFile=$FOLDER/slurmd.%n.log
SlurmdSpoolDir=$FOLDER/spool/%n
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=${SLURMD_TIMEOUT:-10}
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=256
MinJobAge=3600
KillWait=3
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
OverTimeLimit=0
JobRequeue=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName=c1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=16901 CPUs=$CPUS RealMemory=$MEMORY_MB State=UNKNOWN
NodeName=c2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=16902 CPUs=$CPUS RealMemory=$MEMORY_MB State=UNKNOWN
NodeName=g1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=16903 CPUs=$CPUS RealMemory=$MEMORY_MB Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=c1,c2 Default=YES PriorityTier=1 MaxTime=1-00:00:00 State=UP
PartitionName=urgent Nodes=c1,c2 Default=NO PriorityTier=9 PreemptMode=OFF MaxTime=04:00:00 State=UP
PartitionName=gpu Nodes=g1 Default=NO MaxTime=04:00:00 State=UP
X
  printf 'AutoDetect=off\nNodeName=g1 Name=gpu File=/dev/zero\n' > /etc/slurm/gres.conf
}

start_cluster() {
  local reason
  reason=$(why_not)
  if [ -n "$reason" ]; then echo "no test cluster: $reason" >&2; return 1; fi
  install_packages
  if squeue > /dev/null 2>&1; then echo "the test cluster is up already"; return; fi
  mkdir -p "$FOLDER"/state "$FOLDER"/spool/{c1,c2,g1} /etc/slurm
  # Jobs strip SLURM_CONF from the inner srun's environment, so the configuration has to lie in /etc/slurm.
  write_configuration
  [ -s /etc/munge/munge.key ] || mungekey --create
  install -d -o munge -g munge -m 755 /run/munge
  if ! munge -n > /dev/null 2>&1; then
    runuser -u munge -- munged --force
    touch "$FOLDER/munged-is-ours"
  fi
  slurmctld
  for node in c1 c2 g1; do slurmd -N "$node"; done
  for _ in $(seq 30); do
    if [ "$(sinfo --noheader --Node --states idle --format %N | sort -u | wc -l)" = 3 ]; then
      sinfo --Node --format '%N %P %T %c CPUs %m MB %G'
      return
    fi
    sleep 1
  done
  echo "the nodes did not come up; see $FOLDER/*.log" >&2
  return 1
}

end_process() { # of a pid file; waits until it is gone
  local pid
  pid=$(cat "$1" 2> /dev/null) || return 0
  kill "$pid" 2> /dev/null || return 0
  for _ in $(seq 50); do
    kill -0 "$pid" 2> /dev/null || return 0
    sleep 0.2
  done
  kill -KILL "$pid"
}

stop_cluster() {
  if ! [ -d "$FOLDER" ]; then return; fi
  if [ -s "$FOLDER/slurmctld.pid" ] && timeout 5 squeue > /dev/null 2>&1; then
    scancel --partition cpu,urgent,gpu
    for _ in $(seq 15); do
      [ -n "$(squeue --noheader)" ] || break
      sleep 1
    done
  fi
  for daemon in slurmd.c1 slurmd.c2 slurmd.g1 slurmctld; do end_process "$FOLDER/$daemon.pid"; done
  if [ -e "$FOLDER/munged-is-ours" ]; then end_process /run/munge/munged.pid; fi
  if grep -q "^ClusterName=prerelax-test$" /etc/slurm/slurm.conf 2> /dev/null; then
    rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf
  fi
  find "$FOLDER" -mindepth 1 -maxdepth 1 ! -name installed-packages -exec rm -rf {} +
}

stop_node() { end_process "$FOLDER/slurmd.$1.pid"; }
start_node() { slurmd -N "$1"; }
stop_controller() { end_process "$FOLDER/slurmctld.pid"; }
start_controller() { slurmctld; }

case "${1:-}" in
  why-not) why_not ;;
  install) install_packages ;;
  start) start_cluster ;;
  stop) stop_cluster ;;
  uninstall) stop_cluster; uninstall_packages ;;
  stop-node) stop_node "$2" ;;
  start-node) start_node "$2" ;;
  stop-controller) stop_controller ;;
  start-controller) start_controller ;;
  *)
    echo "usage: $0 why-not|install|start|stop|uninstall|{stop,start}-node NODE|{stop,start}-controller" >&2
    exit 2
    ;;
esac
