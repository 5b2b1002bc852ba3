"""A command in one process or in several on this machine, which can be ended at any moment."""

import contextlib
import pathlib
import socket
import subprocess

ROOT = pathlib.Path(__file__).parents[1]


@contextlib.contextmanager
def started(command, count, environment, folder=ROOT):
    """Starts `count` processes that find each other by `--distributed`; kills them at the end.

    Each is a process group, with what it starts.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [*command, *[f"--distributed={address},{count},{index}"] * (count > 1)],
            cwd=folder,
            env=environment,
            text=True,
            process_group=0,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for index in range(count)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate()


def workers_of(pid):
    """The processes that a training has started to make its batches, from whichever thread."""
    threads = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    children = [child for thread in threads for child in thread.read_text().split()]
    return [
        int(child)
        for child in children
        if b"senet_jax.data.workers" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes()
    ]
