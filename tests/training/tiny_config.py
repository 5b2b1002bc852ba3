"""The recipe for `demo`; tests change its values by flags."""

from configs import common


def get_config():
    return common.train("demo")
