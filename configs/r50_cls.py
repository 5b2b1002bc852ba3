"""SENet R50 on GLDv2-clean, trained with L_cls alone.

  python -m senet_jax.main --config=configs/r50_cls.py --workdir=runs/r50_cls

Meant for eight accelerators, or more in several hosts (see launch/README.md); never run. The data
and the trunk: see `common`, whose recipe is second-hand. What a device takes and sends, by
`python -m senet_jax.forecast --config=configs/r50_cls.py --devices=8` with jax 0.10.2:

  images                      1,580,470 of 81,313 classes
  steps                       274,387, 10,975.5 an epoch
  state of a device           478,347,276 bytes (456.2 MiB)
  besides it in a step        14,160,449,096 bytes (13.2 GiB), as compiled for CPU
  sent by a device in a step  275,740,444 bytes (263.0 MiB)

The paper's figures to aim at (Table S2, mAP x 100):

            ROxf   +1M  RPar   +1M
  Medium    81.4  72.9  90.5  79.0
  Hard      62.3  48.7  80.3  59.9
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    """The settings: those of `common`, with L_cls alone."""
    return common.classification_only(common.train("r50"))
