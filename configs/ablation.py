"""x"""

from ml_collections import ConfigDict

from configs import common


def get_config(switch: str) -> ConfigDict:
    """The settings of `r50_cls` with another network.

    Args:
        switch: `direct`, `dot`, `concat` or `baseline`.
    """
    return common.classification_only(common.train(f"r50_{switch}"))
