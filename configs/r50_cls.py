"""x"""
from configs import common
def get_config(): return common.classification_only(common.train("r50"))
