"""The project's twin of a network in PyTorch, laid out as PyTorch is fastest on GPUs."""

import torch

from senet_jax.convert.twin import Twin
from senet_jax.models.architecture import Architecture

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if ON_GPU else "cpu")
DEVICE_NAME = torch.cuda.get_device_name() if ON_GPU else "cpu"
_LAYOUTS = {torch.nn.Conv2d: torch.channels_last, torch.nn.Conv3d: torch.channels_last_3d}


def twin_of(architecture: Architecture) -> Twin:
    """The network on the device, its kernels with the channels last in memory."""
    twin = Twin(architecture).to(DEVICE)
    for module in twin.modules():
        if layout := _LAYOUTS.get(type(module)):
            module.to(memory_format=layout)  # pyright: ignore[reportCallIssue]
    return twin


def multiply_in(precision: str) -> torch.autocast:
    """Sets whether float32 is multiplied in TF32, and gives the context for a precision."""
    is_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = is_tf32
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bfloat16")
