"""SENet R101 on GLDv2-clean, trained with both losses.

  python -m senet_jax.main --config=configs/r101_cls_con.py --workdir=runs/r101_cls_con

Meant for eight accelerators, or more in several hosts (see launch/README.md); never run. The data
and the trunk: see `common`, whose recipe is second-hand. What a device takes and sends, by
`python -m senet_jax.forecast --config=configs/r101_cls_con.py --devices=8` with jax 0.10.2:

  images                      1,580,470 of 81,313 classes
  steps                       274,387, 10,975.5 an epoch
  state of a device           938,134,292 bytes (894.7 MiB)
  besides it in a step        21,666,539,904 bytes (20.2 GiB), as compiled for CPU
  sent by a device in a step  413,487,844 bytes (394.3 MiB)

The paper's figures to aim at (Table S2, mAP x 100):

            ROxf   +1M  RPar   +1M
  Medium    82.8  76.1  91.7  83.6
  Hard      66.0  55.7  82.8  67.8
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    """The settings: those of `common`, with both losses."""
    return common.train("r101")
