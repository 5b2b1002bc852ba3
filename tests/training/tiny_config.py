"""The recipe for `tiny`; tests change its values by flags."""

from configs import common


def get_config():
    return common.train("tiny")
