#!/bin/bash
#SBATCH --job-name=overmem-my-run
#SBATCH --array=0-7
#SBATCH --output='/scratch/my run/overmem/workers/slurm-%A_%a.log'
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
#SBATCH --partition=gpu
#SBATCH --gres=gpu:1
#SBATCH --exclusive

# Every task of this array is one worker: it takes units of the run's queue until all are done. Submit the script again,
# or more of it, at any time: workers share the queue through the run directory.
#
# A minute before a preemption or the end of its time a task is sent TERM: the worker gives back its unit, and the task
# is queued again.
stop() {
  trap - TERM
  kill -TERM "$worker"
  wait "$worker"
  scontrol requeue "$SLURM_JOB_ID"
  exit
}
trap stop TERM

python -m overmem worker '/scratch/my run' --out '/scratch/my run/overmem' --device auto --finish &
worker=$!
wait "$worker"
