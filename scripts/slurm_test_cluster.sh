#!/usr/bin/env bash
# A real SLURM of one node on this machine, for tests: scripts/slurm_test_cluster.sh start | stop
#
# Needs root and Debian's packages:
#   apt-get update && apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge
# No systemd, no cgroups, no accounting database: put scripts/slurm first on PATH, its sacct asks scontrol instead.
# Two partitions: jobs of `high` preempt those of `main`, which are queued again after 10 seconds of grace.
set -euo pipefail

alive() { ps -C "$1" -o stat= | grep -qv Z; } # where nobody reaps them, the dead are still listed

stop() {
    if alive slurmctld; then scancel --me || true; fi
    for name in slurmd slurmctld munged; do # in this order, each gone before the next: a slurmd may wait for a job
        alive "$name" || continue
        pkill -x "$name" || true
        for _ in $(seq 20); do
            alive "$name" || break
            sleep 0.5
        done
        pkill -KILL -x "$name" || true
    done
}

start() {
    local host memory cpus
    host=$(hostname -s)
    memory=$(slurmd -C | sed -n 's/.*RealMemory=\([0-9]*\).*/\1/p')
    cpus=${SLURM_TEST_CPUS:-$(nproc)} # may be more than there are
    mkdir -p /run/munge /var/log/munge /var/lib/munge /var/spool/slurmctld /var/spool/slurmd /var/log/slurm
    chown munge:munge /run/munge /var/log/munge /var/lib/munge /etc/munge/munge.key
    chmod 755 /run/munge
    alive munged || runuser -u munge -- /usr/sbin/munged
    cat >/etc/slurm/slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=1,sched_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=600
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=UNLIMITED State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=high Nodes=$host MaxTime=UNLIMITED State=UP PriorityTier=10
CONF
    alive slurmctld || slurmctld -c # without the jobs and the nodes' states of last time
    sleep 1
    alive slurmd || slurmd
    for _ in $(seq 40); do
        sinfo -h -o %t | grep -q -e idle -e mix && break
        sleep 0.5
    done
    sinfo
}

case "${1:-}" in
start) start ;;
stop) stop ;;
*)
    echo "usage: $0 start | stop" >&2
    exit 2
    ;;
esac
