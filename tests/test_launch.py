"""The launchers' syntax, and what the scripts do with stand-ins for the platforms' commands."""

import math
import os
import pathlib
import shutil
import subprocess

import pytest
import yaml

REPOSITORY = pathlib.Path(__file__).parents[1]
LAUNCH = REPOSITORY / "launch"
SCRIPTS = ["tpu_pod.sh", "slurm.sbatch"]


@pytest.fixture
def run(tmp_path):
    """Runs a script with stand-ins, which write down how they were called."""

    def run(script, *arguments, exit_code=0, **variables):
        calls = tmp_path / "calls"
        for name in ("gcloud", "srun", "scontrol"):
            stand_in = tmp_path / name
            code = exit_code if name == "srun" else 0
            stand_in.write_text(
                f'#!/bin/sh\necho {name} "$@" ">$JAX_LOCAL_DEVICE_IDS" >> {calls}\nexit {code}\n'
            )
            stand_in.chmod(0o755)
        done = subprocess.run(
            ["bash", LAUNCH / script, *arguments],
            cwd=REPOSITORY,
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_GPUS_ON_NODE": "4"} | variables,
            capture_output=True,
            text=True,
        )
        return done, calls.read_text() if calls.exists() else ""

    return run


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_can_read_it(script):
    subprocess.run(["bash", "-n", LAUNCH / script], check=True)
    assert "\nset -euo pipefail\n" in (LAUNCH / script).read_text()


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck on this machine")
def test_shellcheck_has_nothing_to_say(script):
    subprocess.run(["shellcheck", LAUNCH / script], check=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_is_not_given_is_asked_for(run, script):
    done, calls = run(script)
    assert done.returncode != 0 and not calls
    assert "name" in done.stderr


def test_tpu_pod_copies_installs_and_trains_on_all_hosts(run):
    done, calls = run(
        "tpu_pod.sh",
        "--config.scales=(1.0, 2.0)",
        TPU_NAME="pod",
        ZONE="here",
        CONFIG="configs/r50_cls.py",
        WORKDIR="/w 1",
    )
    assert done.returncode == 0, done.stderr
    copied, *_, trained = calls.splitlines()
    assert "tpu-vm scp" in copied and "pod:senet_jax.tar --zone=here --worker=all" in copied
    assert calls.count("tpu-vm ssh pod --zone=here --worker=all") == 2
    assert "pip install --quiet --requirement senet_jax/requirements.txt 'jax[tpu]'" in calls
    assert trained.endswith(
        "-m senet_jax.main --config=configs/r50_cls.py --workdir=/w\\ 1 --distributed=auto "
        "--config.scales=\\(1.0\\,\\ 2.0\\) >"
    )


@pytest.mark.parametrize("exit_code", [0, 75, 134])
def test_slurm_requeues_what_was_stopped(run, exit_code):
    done, calls = run(
        "slurm.sbatch",
        "--config.seed=1",
        exit_code=exit_code,
        CONFIG="configs/r50_cls.py",
        WORKDIR="/w",
        SLURM_JOB_ID="17",
    )
    assert done.returncode == exit_code, done.stderr
    first, *others = calls.splitlines()
    assert first == (
        "srun .venv/bin/python -m senet_jax.main --config=configs/r50_cls.py --workdir=/w "
        "--distributed=auto --config.seed=1 >0,1,2,3"
    )
    assert [other.split(" >")[0] for other in others] == ["scontrol requeue 17"] * (exit_code == 75)


def test_slurm_reads_the_directives():
    lines = (LAUNCH / "slurm.sbatch").read_text().splitlines()
    directives = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    first_command = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    assert max(directives) < first_command  # Later ones are not read.
    assert "#SBATCH --ntasks-per-node=1" in lines and "#SBATCH --signal=TERM@120" in lines


def test_the_jobset_fills_its_slice():
    jobset = yaml.safe_load((LAUNCH / "gke_jobset.yaml").read_text())
    assert jobset["kind"] == "JobSet"
    (job,) = jobset["spec"]["replicatedJobs"]
    hosts = job["template"]["spec"]
    pod = hosts["template"]["spec"]
    (container,) = pod["containers"]
    topology = pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"]
    chips = container["resources"]["limits"]["google.com/tpu"] * hosts["parallelism"]
    assert chips == math.prod(map(int, topology.split("x")))
    assert hosts["completions"] == hosts["parallelism"]
    assert (pod["restartPolicy"], hosts["backoffLimit"]) == ("Never", 0)
    assert container["command"][:3] == ["python", "-m", "senet_jax.main"]
    assert "--distributed=auto" in container["command"]
    (config,) = (flag for flag in container["command"] if flag.startswith("--config="))
    assert (REPOSITORY / config.removeprefix("--config=")).is_file()
    assert [m["name"] for m in container["volumeMounts"]] == [v["name"] for v in pod["volumes"]]
