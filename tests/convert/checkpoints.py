"""Checkpoints as others write them, made from the twin's own state."""

import collections
import re

import torch

from tests.oracles.lively_twin import lively_twin

_NUMBERS = {"a": "1", "b": "2", "c": "3"}


def state_dict(name):
    """A copy of the lively twin's `state_dict`."""
    state = lively_twin(name).state_dict()
    return collections.OrderedDict((key, tensor.clone()) for key, tensor in state.items())


def save(path, state, **options):
    torch.save({"model_state": state}, path, **options)
    return path


def load(path):
    return torch.load(path, weights_only=True)["model_state"]


def under_cvnet_names(state):
    """CVNet keeps its trunk as the query encoder of momentum contrast."""
    return collections.OrderedDict((f"encoder_q.{key}", tensor) for key, tensor in state.items())


def under_torchvision_names(state):
    """What torchvision calls the same tensors, written down from its names."""
    renamed = collections.OrderedDict()
    for key, tensor in state.items():
        module, _, leaf = key.rpartition(".")
        if block := re.fullmatch(r"s(\d)\.b(\d+)\.(.*)", module):
            stage, number, layer = block.groups()
            layer = {
                "proj": "downsample.0",
                "bn": "downsample.1",
                **{f"f.{letter}": f"conv{n}" for letter, n in _NUMBERS.items()},
                **{f"f.{letter}_bn": f"bn{n}" for letter, n in _NUMBERS.items()},
            }[layer]
            module = f"layer{stage}.{int(number) - 1}.{layer}"
        else:
            module = {"stem.conv": "conv1", "stem.bn": "bn1", "head.fc": "fc"}[module]
        renamed[f"{module}.{leaf}"] = tensor
    return renamed


def assert_equal_states(ours, theirs):
    """The same names, dtypes, shapes and bytes."""
    assert ours.keys() == theirs.keys()
    for key in theirs:
        assert (ours[key].dtype, ours[key].shape) == (theirs[key].dtype, theirs[key].shape), key
        bytes_of = [state[key].reshape(-1).view(torch.uint8) for state in (ours, theirs)]
        assert torch.equal(*bytes_of), key
