"""SENet R101 on GLDv2-clean, trained with L_cls alone.

  python -m senet_jax.main --config=configs/r101_cls.py --workdir=runs/r101_cls

Meant for eight accelerators, or more in several hosts (see launch/README.md); never run. The data
and the trunk: see `common`, whose recipe is second-hand. What a device takes and sends, by
`python -m senet_jax.forecast --config=configs/r101_cls.py --devices=8` with jax 0.10.2:

  images                      1,580,470 of 81,313 classes
  steps                       274,387, 10,975.5 an epoch
  state of a device           630,493,196 bytes (601.3 MiB)
  besides it in a step        20,013,591,424 bytes (18.6 GiB), as compiled for CPU
  sent by a device in a step  409,782,044 bytes (390.8 MiB)

The paper's figures to aim at (Table S2, mAP x 100):

            ROxf   +1M  RPar   +1M
  Medium    80.0  72.5  91.6  82.1
  Hard      61.7  49.2  82.2  64.6
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    """The settings: those of `common`, with L_cls alone."""
    return common.classification_only(common.train("r101"))
