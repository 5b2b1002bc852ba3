"""SENet R50 on GLDv2-clean, trained with both losses.

  python -m senet_jax.main --config=configs/r50_cls_con.py --workdir=runs/r50_cls_con

Meant for eight accelerators, or more in several hosts (see launch/README.md); never run. The data
and the trunk: see `common`, whose recipe is second-hand. What a device takes and sends, by
`python -m senet_jax.forecast --config=configs/r50_cls_con.py --devices=8` with jax 0.10.2:

  images                      1,580,470 of 81,313 classes
  steps                       274,387, 10,975.5 an epoch
  state of a device           709,810,964 bytes (676.9 MiB)
  besides it in a step        15,437,202,912 bytes (14.4 GiB), as compiled for CPU
  sent by a device in a step  278,715,108 bytes (265.8 MiB)

The paper's figures to aim at (Table S2, mAP x 100):

            ROxf   +1M  RPar   +1M
  Medium    81.9  74.2  90.0  79.1
  Hard      63.0  52.0  78.1  59.9
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    """The settings: those of `common`, with both losses."""
    return common.train("r50")
