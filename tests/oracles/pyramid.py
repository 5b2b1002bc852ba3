"""Multi-scale descriptors by their definition, with OpenCV and PyTorch."""

import copy

import cv2
import numpy as np
import torch

from tests.tolerances import TIMES_THE_TWIN

MEAN = (0.406, 0.456, 0.485)  # Of BGR.
STD = (0.225, 0.224, 0.229)


def _unit(vector):
    return vector / vector.norm()


def describe(twin, path, scales, dtype, box=None):
    """The unit mean of the unit descriptors of all scales, float64[d], computed in `dtype`."""
    twin = copy.deepcopy(twin).to(dtype)
    image = cv2.imread(str(path))
    if box is not None:
        x1, y1, x2, y2 = map(int, box)
        image = image[y1:y2, x1:x2]
    descriptors = []
    for scale in scales:
        pixels = image
        if scale != 1:
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            pixels = cv2.resize(image, None, fx=scale, fy=scale, interpolation=how)
        pixels = torch.from_numpy(np.ascontiguousarray(pixels)).to(dtype) / 255
        pixels = (pixels - torch.tensor(MEAN, dtype=dtype)) / torch.tensor(STD, dtype=dtype)
        with torch.no_grad():
            descriptors.append(_unit(twin(pixels.permute(2, 0, 1)[None])["descriptor"][0]))
    return _unit(torch.stack(descriptors).mean(dim=0)).double().numpy()


def assert_as_near_as_the_twin(ours, twin, photographs, scales):
    """Descriptors are as near to the float64 ones as the twin's float32, by the design's bar."""
    theirs, exact = (
        np.stack([describe(twin, p.path, scales, dtype, p.box) for p in photographs])
        for dtype in (torch.float32, torch.float64)
    )
    assert ours.dtype == np.float32 and ours.shape == exact.shape
    assert np.linalg.norm(ours - exact) <= TIMES_THE_TWIN * np.linalg.norm(theirs - exact)
