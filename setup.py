"""What `pyproject.toml` cannot say: the configs beside the package are installed within it."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["senet_jax*"]), "senet_jax.configs"],
    package_dir={"senet_jax.configs": "configs"},
)
