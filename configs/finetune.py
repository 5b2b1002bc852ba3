"""SENet trained further on photographs of one's own, a folder for each class.

  python -m senet_jax.convert senet_r50.pyth weights/r50
  python -m senet_jax.data.prepare folder --images=PHOTOS --target=datasets/mine
  python -m senet_jax.main --config=configs/finetune.py:datasets/mine --workdir=runs/mine
  python -m senet_jax.report runs/mine

What follows the colon is the prepared dataset. It is evaluated on what `prepare` has held out
beside it, `datasets/mine_held_out`; where nothing is there, it is not evaluated. `--config.model`
and `--config.start` choose another network, such as `lite0` from the weights of `pretrained:lite0`;
weights of an ImageNet trunk will do for SENet.

The settings are for one device and some hundred to some ten thousand photographs of any number of
classes. They are a guess from the recipe in `common`, and were never tuned: L_cls alone, a small
batch with its share of the learning rate, and a faster rate for the rows of the classes, which are
all that has learned nothing yet.

Batch norms keep the running averages of the weights: those of sixteen photographs differ too much
from batch to batch. Where a part of the network is fresh, as the self-similarity module is on an
ImageNet trunk, its norms have no averages yet, and `--config.batch_norm=batch` is for it.
"""

import pathlib

from ml_collections import ConfigDict

from configs import common


def get_config(folder: str = "") -> ConfigDict:
    """The settings for a dataset.

    Args:
        folder: of the prepared dataset.
    """
    if not folder:
        raise ValueError("name the prepared dataset, --config=configs/finetune.py:FOLDER")
    config = common.classification_only(common.train("r50"))
    config.start = "weights/r50"
    config.batch_size = 16
    config.epochs = 10.0
    config.log_every_steps = 10

    config.data.folder = folder
    config.data.side = 384
    config.data.reduced_decoding = True  # Own photographs are many times as large.
    config.data.workers = 2

    config.batch_norm = "running"
    config.optimizer.learning_rate = 0.01 * config.batch_size / 256
    config.optimizer.recipe = (config.batch_size, config.optimizer.learning_rate)
    config.optimizer.rate_multipliers = (("^classes$", 10.0),)
    config.optimizer.warmup_epochs = 1.0

    trained = pathlib.Path(folder).expanduser()
    held_out = trained.with_name(f"{trained.name}_held_out")
    config.evaluation.data_root = str(held_out.parent)
    config.evaluation.datasets = held_out.name if held_out.is_dir() else ""
    config.evaluation.every_steps = 200
    config.checkpoint.every_steps = 200
    return config
