"""Evaluates weights on datasets in the layout of the revisited Oxford and Paris benchmark.

  python -m senet_jax.main --config=configs/evaluate.py:r50 --workdir=runs/evaluate \
      --config.weights=weights/r50 --config.data_root=datasets

The name after the colon is the network's, as `python -m senet_jax.convert` knows it; it has to be
that of the weights. The settings are those of the authors' public inference code. The paper's
figures for SENet R50 trained with both losses: Medium 81.9 / 90.0 and Hard 63.0 / 78.1 on ROxford /
RParis (Table S1, mAP x 100).
"""

from ml_collections import config_dict


def get_config(model: str = "r50") -> config_dict.ConfigDict:
    """The settings of an evaluation.

    Args:
        model: name of the network.
    """
    config = config_dict.ConfigDict()
    config.job = "evaluate"
    config.model = model
    # A folder made by `python -m senet_jax.convert`.
    config.weights = ""
    # The folder of all datasets: DATA_ROOT/NAME/gnd_NAME.pkl and DATA_ROOT/NAME/jpg/*.jpg.
    config.data_root = "datasets"
    # Names of datasets, separated by commas.
    config.datasets = "roxford5k,rparis6k"
    # Name of a set of distractors, appended to every database: revisitop1m for the +1M figures.
    config.distractors = ""
    config.scales = (0.7071, 1.0, 1.4142)
    # The benchmark cuts queries to their boxes. Figures without it are not comparable.
    config.crop_queries = True
    # Stop at the first unreadable database image, instead of ranking it last.
    config.strict = False
    # What part of a list of database images may be unreadable; with more the job ends.
    config.allow_unreadable = 0.5
    # exact: one program for each shape of image; auto: the fastest way that is as precise.
    config.mode = "auto"
    # Of the databases' descriptors: float32, or float16, bfloat16 or int8, which are smaller.
    config.storage = "float32"
    # Re-ranking methods, separated by commas, each on what the one before it found; see
    # `python -m senet_jax.rerank --help`, and cvnet. Empty: none.
    config.rerank = ""
    # For cvnet: the folder made of a CVNet checkpoint, and how many items of a list are scored.
    config.cvnet_weights = ""
    config.rerank_top = 100
    return config
