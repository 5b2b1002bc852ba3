"""The bars of the tests, each with its reason."""

import numpy as np

FLOAT32_EPSILON = float(np.finfo(np.float32).eps)

# Maps on the way are as near to float64 as PyTorch's float32, to a factor of two, because the order
# of float32 sums is a library's own choice; so near are descriptors to PyTorch's. To float64 they
# are as near as those, see `models/test_parity.py`.
TIMES_THE_TWIN = 2.0
# Nothing stored in float32 is nearer to the truth than its own rounding (half an epsilon of each
# value); below that the ratio of two distances says nothing.
ROUNDING = FLOAT32_EPSILON / 2
# A sum of few products in float32 in another order: a dozen roundings at most.
FEW_ROUNDINGS = 12 * ROUNDING
# Images of a batch are computed by other kernels than a single one (blocks of other sizes), so
# only as near as two float32 libraries: centred weights multiply roundings about a hundredfold.
BATCHED = 100 * FLOAT32_EPSILON
# bfloat16 has 8 bits; through a dozen layers a unit descriptor moves by some per cent.
BFLOAT16_COSINE = 0.99
# The standard deviation of a sample of n values is known to 1 / sqrt(2 n) of it; five of these
# are exceeded once in two million.
SAMPLED_STD_SIGMAS = 5.0
# Flax computes a variance as E[x^2] - E[x]^2, which loses what mean^2 is larger than the variance;
# relative to the largest statistic of a tensor.
RUNNING_STATISTICS = 2e-5
# A measure is a sum of some hundred float64 fractions; the design's bar for mAP.
SCORE = 1e-9
# The design's bar for one device against several, of each tensor's largest value: float32 sums in
# another order, carried through five steps.
SPREAD = 1e-5
# A gradient after a ReLU (or a clamp, or a maximum) whose input is 0 but for rounding was switched:
# 5 % of a tensor's largest value were seen. A factor of two, or one part left out, is far more.
AFTER_A_SWITCH = 0.1
