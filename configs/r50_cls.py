"""x"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    """The settings: those of `common`, with L_cls alone."""
    return common.classification_only(common.train("r50"))
