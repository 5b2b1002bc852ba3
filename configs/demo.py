"""A SENet from nothing, on generated landmarks, on a laptop: `make demo`.

  python -m senet_jax.data.prepare synthetic_landmarks --target=runs/demo/data --size=demo
  python -m senet_jax.main --config=configs/demo.py --workdir=runs/demo

Then the same network without its module, the paper's baseline, for as many steps, and both in one
report:

  python -m senet_jax.main --config=configs/demo.py --config.model=demo_baseline \
      --workdir=runs/demo/baseline
  python -m senet_jax.report runs/demo --beside=runs/demo/baseline

The network is `demo`: the code of R50 with two blocks, narrow stages and a window of 5 x 5. A
position of its map of 8 x 8 sees 27 of the 64 pixels, a window or two of a building, so that how
these are arranged is left to the module. The settings are not the paper's: nothing is pretrained,
so descriptors are kept apart by a batch norm that is folded into the last layer afterwards, and the
optimiser is AdamW. They were chosen on the validation split of the generated world. Medium mAP
x 100 there, among look-alikes and without them, seed 0: after these 1000 steps 45.3 and 66.4,
without the module 30.5 and 58.3; after 1400 steps 52.9 and 71.3, without it 34.3 and 63.7, with the
two layers of its fusion alone 34.2 and 62.1.

One training of each tells little: `senet-jax study ablations ...` makes more, in another world; see
configs/study.py.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(split: str = "landmarks") -> ConfigDict:
    """The demo's settings.

    Args:
        split: `landmarks`, or `landmarks_validation` to make choices on.
    """
    config = common.train("demo")
    config.start = ""
    config.descriptor_norm = True
    config.batch_size = 64
    config.epochs = 40.0  # An epoch is a batch from each family: 25 steps.
    config.log_every_steps = 50

    config.data.folder = "runs/demo/data/synthetic_landmarks"
    config.data.side = 64
    config.data.smallest_area = 0.8
    config.data.widest_aspect = 1.15
    config.data.flip = False  # A mirrored building is another one.
    config.data.workers = 0
    # Eight whole families a batch, so that look-alikes stand side by side.
    config.data.group_classes = 4
    config.data.group_views = 2

    config.optimizer.name = "adamw"
    config.optimizer.nesterov = False
    config.optimizer.learning_rate = 3e-3
    config.optimizer.recipe = (config.batch_size, config.optimizer.learning_rate)
    config.optimizer.warmup_epochs = 5.0
    config.optimizer.clip_norm = 5.0

    # Every query against the keys of its own batch, made by the network itself.
    config.losses.classification_weight = 0.0
    config.losses.contrastive_weight = 1.0
    config.losses.margin_kind = "arc"
    config.losses.contrastive_scale = 10.0
    config.losses.contrastive_margin_radians = 0.0
    config.losses.queue_length = 256
    config.losses.max_positives = 16
    config.losses.network_momentum = 0.0
    config.losses.keys_first = True

    config.evaluation.data_root = "runs/demo/data"
    config.evaluation.datasets = f"{split},{split}_no_lookalikes,{split}_family_only"
    config.evaluation.scales = (1.0,)
    config.evaluation.every_steps = 350
    config.checkpoint.every_steps = 350
    return config
