"""The launchers' syntax, and what the scripts do with stand-ins for the platforms' commands."""

import math
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

from senet_jax.system.errors import USER_ERROR_EXIT_CODE
from senet_jax.system.signals import PREEMPTED_EXIT_CODE

REPOSITORY = pathlib.Path(__file__).parents[1]
LAUNCH = REPOSITORY / "launch"
SCRIPTS = ["tpu_pod.sh", "slurm.sbatch"]


# Writes down how it was called; a training ends with the first of CODES that is left.
STAND_IN = """#!/usr/bin/env bash
echo {name} "$@" ">$JAX_LOCAL_DEVICE_IDS" >> {folder}/calls
[[ "$*" == *"senet_jax.main"* ]] || exit "${{OTHERS_CODE:-0}}"
read -r code < {folder}/codes
sed -i 1d {folder}/codes
exit "$code"
"""


@pytest.fixture
def run(tmp_path):
    """Runs a script with stand-ins; what it did, and how they were called."""

    def run(script, *arguments, codes=(0,), **variables):
        (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
        for name in ("gcloud", "srun", "scontrol"):
            (tmp_path / name).write_text(STAND_IN.format(name=name, folder=tmp_path))
            (tmp_path / name).chmod(0o755)
        slurm = {"SLURM_GPUS_ON_NODE": "4", "SLURM_CPUS_PER_TASK": "32"}
        done = subprocess.run(
            ["bash", LAUNCH / script, *arguments],
            cwd=REPOSITORY,
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}"} | slurm | variables,
            capture_output=True,
            text=True,
        )
        calls = tmp_path / "calls"
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


TPU = {"TPU_NAME": "pod", "ZONE": "here", "CONFIG": "configs/r50_cls.py", "WORKDIR": "/w 1"}


def test_tpu_pod_copies_installs_and_trains_on_all_hosts(run):
    done, calls = run("tpu_pod.sh", "--config.scales=(1.0, 2.0)", **TPU)
    assert done.returncode == 0, done.stderr
    looked, copied, *_, trained = calls.split("gcloud ")[1:]
    assert "tpu-vm ssh pod" in looked and "python3 -c 'import sys" in looked
    assert "tpu-vm scp" in copied and "pod:senet_jax.tar --zone=here --worker=all" in copied
    assert calls.count("tpu-vm ssh pod --zone=here --worker=all") == 3
    assert "pip install --quiet --requirement senet_jax/requirements.txt 'jax[tpu]'" in calls
    assert trained.endswith(
        "-m senet_jax.main --config=configs/r50_cls.py --workdir=/w\\ 1 --distributed=auto "
        "--config.scales=\\(1.0\\,\\ 2.0\\) >\n"
    )


@pytest.mark.parametrize(("version", "is_old"), [((3, 10, 12), True), ((3, 11, 0), False)])
def test_tpu_pod_looks_at_python_before_it_copies(run, version, is_old):
    done, calls = run("tpu_pod.sh", OTHERS_CODE="1", **TPU)
    assert done.returncode == 1 and calls.count("gcloud") == 1
    # What it asks the hosts' Python, asked of one of this version.
    question = shlex.split(calls.split("--command=")[1].replace(" >\n", ""))
    assert question[:2] == ["python3", "-c"]
    pretended = f"import sys; sys.version_info, sys.version = {version}, 'X'; {question[2]}"
    asked = subprocess.run([sys.executable, "-c", pretended], capture_output=True, text=True)
    assert asked.returncode == is_old
    assert asked.stderr == "this needs Python 3.11 or newer, see PYTHON; here is X\n" * is_old


@pytest.mark.parametrize("codes", [(0,), (75, 0), (75, 75, 2), (134,)])
def test_tpu_pod_starts_again_what_was_stopped(run, codes):
    done, calls = run("tpu_pod.sh", codes=codes, **TPU)
    assert done.returncode == codes[-1], done.stderr
    assert calls.count("-m senet_jax.main") == len(codes)


@pytest.mark.parametrize("exit_code", [0, 75, 134])
def test_slurm_requeues_what_was_stopped(run, exit_code):
    done, calls = run(
        "slurm.sbatch",
        "--config.seed=1",
        codes=(exit_code,),
        CONFIG="configs/r50_cls.py",
        WORKDIR="/w",
        SLURM_JOB_ID="17",
    )
    assert done.returncode == exit_code, done.stderr
    first, *others = calls.splitlines()
    assert first == (
        "srun --cpus-per-task=32 .venv/bin/python -m senet_jax.main --config=configs/r50_cls.py "
        "--workdir=/w --distributed=auto --config.seed=1 >0,1,2,3"
    )
    assert [other.split(" >")[0] for other in others] == ["scontrol requeue 17"] * (exit_code == 75)


def test_slurm_reads_the_directives():
    lines = (LAUNCH / "slurm.sbatch").read_text().splitlines()
    directives = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    first_command = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    assert max(directives) < first_command  # Later ones are not read.
    assert "#SBATCH --ntasks-per-node=1" in lines and "#SBATCH --signal=TERM@120" in lines


@pytest.fixture
def jobset():
    return yaml.safe_load((LAUNCH / "gke_jobset.yaml").read_text())


@pytest.fixture
def hosts(jobset):
    (job,) = jobset["spec"]["replicatedJobs"]
    return job["template"]["spec"]


@pytest.fixture
def pod(hosts):
    return hosts["template"]["spec"]


def test_the_jobset_fills_its_slice(jobset, hosts, pod):
    assert jobset["kind"] == "JobSet"
    (container,) = pod["containers"]
    topology = pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"]
    chips = container["resources"]["limits"]["google.com/tpu"] * hosts["parallelism"]
    assert chips == math.prod(map(int, topology.split("x")))
    assert hosts["completions"] == hosts["parallelism"]
    assert container["command"][:3] == ["python", "-m", "senet_jax.main"]
    assert "--distributed=auto" in container["command"]
    (config,) = (flag for flag in container["command"] if flag.startswith("--config="))
    assert (REPOSITORY / config.removeprefix("--config=")).is_file()


def test_the_jobset_ends_at_a_mistake_and_does_not_count_evictions(jobset, hosts, pod):
    # Only with these do failure policies have a say.
    assert (pod["restartPolicy"], hosts["backoffLimit"]) == ("Never", 0)
    (container,) = pod["containers"]
    mistake, evicted, stopped = hosts["podFailurePolicy"]["rules"]
    of_container = {"containerName": container["name"], "operator": "In"}
    assert mistake == {
        "action": "FailJob",
        "onExitCodes": of_container | {"values": [USER_ERROR_EXIT_CODE]},
    }
    assert evicted == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    assert stopped == {
        "action": "Ignore",
        "onExitCodes": of_container | {"values": [PREEMPTED_EXIT_CODE]},
    }
    (rule,) = jobset["spec"]["failurePolicy"]["rules"]
    assert rule == {"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] > 0


def test_the_pods_have_shared_memory_and_keep_what_they_compile(pod):
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert set(mounts.values()) == set(volumes)
    assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
    (cache,) = (e["value"] for e in container["env"] if e["name"] == "JAX_COMPILATION_CACHE_DIR")
    assert cache.startswith("/shared/") and "persistentVolumeClaim" in volumes[mounts["/shared"]]


def test_the_image_is_what_the_jobset_runs(pod):
    lines = (LAUNCH / "Dockerfile").read_text().splitlines()
    instructions = [line.split(maxsplit=1) for line in lines if line and line[0] != "#"]
    assert [word for word, _ in instructions] == ["FROM", "ARG", "WORKDIR", "COPY", "RUN", "COPY"]
    values = dict(instructions)
    assert values["WORKDIR"] == pod["containers"][0]["workingDir"]
    assert values["FROM"] == "python:3.11-slim"
    assert 'requires-python = ">=3.11"' in (REPOSITORY / "pyproject.toml").read_text()
    assert "--requirement requirements.txt" in values["RUN"]
    assert (REPOSITORY / "requirements.txt").is_file()
