"""Evaluates weights on datasets in the layout of the revisited Oxford and Paris benchmark.

  python -m senet_jax.main --config=configs/evaluate.py:r50 --workdir=runs/evaluate \
      --config.weights=weights/r50 --config.data_root=datasets

The name after the colon is the network's, as `python -m senet_jax.convert` knows it; it has to be
that of the weights. The settings are those of the authors' public inference code; of `gem_r101`
and `gem_r50` those of cirtorch's. The paper's
figures for SENet R50 trained with both losses: Medium 81.9 / 90.0 and Hard 63.0 / 78.1 on ROxford /
RParis (Table S1, mAP x 100). What each key means: `--help` behind that command.
"""

from ml_collections import config_dict

from senet_jax.config import to_config
from senet_jax.features.scales import sizes_of_evaluation
from senet_jax.jobs.settings import EvaluationSettings


def get_config(model: str = "r50") -> config_dict.ConfigDict:
    """The settings of an evaluation.

    Args:
        model: name of the network.
    """
    scales, long_side = sizes_of_evaluation(model)
    return to_config(EvaluationSettings(model=model, scales=scales, long_side=long_side))
