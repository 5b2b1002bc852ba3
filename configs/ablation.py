"""SENet R50 with one switch of its network turned, trained with L_cls alone on GLDv2-clean.

  python -m senet_jax.main --config=configs/ablation.py:direct --workdir=runs/r50_direct

The names are `direct`, `dot`, `concat` and `baseline`; see `senet_jax/models/self_similarity.py`.
Meant for eight accelerators, or more in several hosts (see launch/README.md); never run. The data
and the trunk: see `common`, whose recipe is second-hand. What a device takes and sends, by
`python -m senet_jax.forecast --config=configs/ablation.py:direct --devices=8` and so on with
jax 0.10.2, for 1,580,470 images of 81,313 classes in 274,387 steps:

            state of a device              besides it in a step (on CPU)    sent in a step
  direct    473,647,116 bytes (451.7 MiB)  13,928,693,320 bytes (13.0 GiB)  271,627,804 bytes
  dot       478,347,276 bytes (456.2 MiB)  14,160,338,504 bytes (13.2 GiB)  275,740,444 bytes
  concat    511,901,708 bytes (488.2 MiB)  14,214,975,048 bytes (13.2 GiB)  305,100,572 bytes
  baseline  388,571,148 bytes (370.6 MiB)  12,888,673,288 bytes (12.0 GiB)  197,087,772 bytes

The paper's figures to aim at (Tables S3, S4 and S5, mAP x 100); `r50_cls` is what they differ from:

            Medium                        Hard
            ROxf   +1M  RPar   +1M        ROxf   +1M  RPar   +1M
  direct    79.8  71.4  90.1  77.8        60.4  46.3  78.5  58.1
  dot       80.3  71.7  90.1  77.3        61.5  47.0  78.9  56.7
  concat    80.1  71.7  89.9  78.3        61.4  47.3  78.6  58.5
  baseline  78.6  70.7  89.5  77.4        58.8  44.8  77.9  57.7
"""

from ml_collections import ConfigDict

from configs import common


def get_config(switch: str) -> ConfigDict:
    """The settings of `r50_cls` with another network.

    Args:
        switch: `direct`, `dot`, `concat` or `baseline`.
    """
    return common.classification_only(common.train(f"r50_{switch}"))
