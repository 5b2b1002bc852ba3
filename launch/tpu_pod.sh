#!/usr/bin/env bash
# Trains on all hosts of a Cloud TPU pod slice that is there already.
#
#   TPU_NAME=my-pod ZONE=us-central2-b CONFIG=configs/r50_cls.py WORKDIR=/mnt/shared/runs/r50_cls \
#     launch/tpu_pod.sh [--config.key=value ...]
#
# Run it in the repository, on a machine that stays on: where it ends, the training does. A training
# that a SIGTERM stopped (exit code 75, its state is saved) is started again.
#
#   TPU_NAME  the pod slice
#   ZONE      its zone
#   CONFIG    what to train
#   WORKDIR   in a file system that all hosts mount, as the data and the weights that CONFIG names
#   PYTHON    3.11 or newer on the hosts; python3 if it is not given
set -euo pipefail

: "${TPU_NAME:?name the pod slice}" "${ZONE:?name its zone}"
: "${CONFIG:?name a file of configs/}" "${WORKDIR:?name a folder that all hosts see}"
PYTHON=${PYTHON:-python3}

on_all_hosts() {
  gcloud compute tpus tpu-vm ssh "$TPU_NAME" --zone="$ZONE" --worker=all --command="$1"
}

on_all_hosts "$PYTHON -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
  \"this needs Python 3.11 or newer, see PYTHON; here is \" + sys.version)'"

# What git tracks, and nothing that lies beside it.
archive=$(mktemp --suffix=.tar)
trap 'rm -f "$archive"' EXIT
git archive --output="$archive" HEAD
gcloud compute tpus tpu-vm scp "$archive" "$TPU_NAME:senet_jax.tar" --zone="$ZONE" --worker=all

on_all_hosts "set -e
  rm -rf senet_jax && mkdir senet_jax && tar -xf senet_jax.tar -C senet_jax
  test -x senet_jax_env/bin/python || $PYTHON -m venv senet_jax_env
  senet_jax_env/bin/python -m pip install --quiet --requirement senet_jax/requirements.txt 'jax[tpu]'"

flags=$(printf ' %q' "--config=$CONFIG" "--workdir=$WORKDIR" --distributed=auto "$@")
code=75
while ((code == 75)); do
  code=0
  on_all_hosts "cd senet_jax && exec ../senet_jax_env/bin/python -m senet_jax.main$flags" || code=$?
done
exit "$code"
