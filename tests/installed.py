"""The package as a user has it: installed, in an environment of its own, from any folder."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

REPOSITORY = pathlib.Path(__file__).parents[1]


class Installation:
    """A virtual environment with the package, and with what it needs from that of the tests.

    Args:
        folder: where it is made, with a home for the user.
    """

    def __init__(self, folder):
        self.bin, self._home = folder / "environment" / "bin", folder / "home"
        self._home.mkdir()
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", folder / "environment"], check=True
        )
        python = self.bin / "python"
        (library,) = (folder / "environment").glob("lib/python*/site-packages")
        (library / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
        # Setuptools builds beside what it builds.
        source = folder / "source"
        source.mkdir()
        for name in ("LICENSE", "README.md", "pyproject.toml", "requirements.txt", "setup.py"):
            shutil.copy(REPOSITORY / name, source)
        for name in ("configs", "senet_jax"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / name, source / name, ignore=ignored)
        pip = [sys.executable, "-m", "pip", f"--python={python}", "install", "--no-deps"]
        options = ["--quiet", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
        subprocess.run([*pip, *options, source], check=True, cwd=folder)
        self.package = library / "senet_jax"

    def run(self, script, folder):
        """Runs lines of bash in a folder, with nothing of the tests in their environment."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env={"HOME": str(self._home), "PATH": f"{self.bin}:{os.defpath}"},
            capture_output=True,
            text=True,
        )
