"""The ablations of SENet on generated landmarks, for `senet-jax study`.

  python -m senet_jax.data.prepare synthetic_landmarks --target=runs/study/world --size=study
  python -m senet_jax.main --config=configs/study.py:baseline --workdir=runs/study/baseline

The names are `baseline`, `fusion`, `direct`, `channel_wise`, `dot` and `concat`, which differ in
the self-similarity module alone, and `classification` and `both`: the losses with the channel-wise
module.

The protocol, written before any of these trainings was run:

1. The world was chosen by the baseline alone. At the demo's 64 pixels a position of the trunk sees
   59 of them, more than the front of any building, so that the trunk reads the arrangement by
   itself. Here pictures have 192 pixels, a front is some 100 of them wide, and a position of the
   last map sees 51: one or two cells of three or four. The window of the module, 7 x 7 positions
   16 pixels apart, spans the front. All that is else of the trunk is the demo's.
2. The settings are those that are good for the demo, at a lower rate and with a longer warm-up so
   that seeds agree. They are the same for all variants. Where they have to be changed, this is
   done by the baseline alone, on `--config.evaluation.datasets=landmarks_validation`.
3. The evaluation split is looked at once, at the end of each training, with its last weights.
4. What is compared: Medium mAP on `landmarks`, look-alikes among the database. The other datasets
   and protocols explain it. A difference between two variants is the mean over seeds and queries
   of their paired differences; its interval resamples both. Five seeds, 0 to 4, of all variants,
   and none is left out. What an interval covers zero of is no finding.
5. `classification` and `both` are the recipe's two losses from nothing, without margin for lack of
   a pretrained trunk. Nothing of them was tuned, and their rows say no more than that.
"""

from ml_collections import ConfigDict

from configs import common

_SWITCHES = ("baseline", "fusion", "direct", "dot", "concat")
_LOSSES = {"channel_wise": (0.0, 1.0), "classification": (1.0, 0.0), "both": (0.5, 0.5)}


def get_config(variant: str) -> ConfigDict:
    """The settings of a variant.

    Args:
        variant: see above.
    """
    common.check_variant(variant, (*_SWITCHES, *_LOSSES), "study.py")
    config = common.train(f"study_{variant}" if variant in _SWITCHES else "study")
    config.start = ""
    config.descriptor_norm = True
    config.batch_size = 64
    config.epochs = 30.0  # An epoch is a batch from each family: 30 steps.
    config.log_every_steps = 25

    config.data.folder = "runs/study/world/synthetic_landmarks"
    config.data.side = 192
    config.data.smallest_area = 0.8
    config.data.widest_aspect = 1.15
    config.data.flip = False  # A mirrored building is another one.
    config.data.workers = 1
    # Eight whole families a batch, so that look-alikes stand side by side.
    config.data.group_classes = 4
    config.data.group_views = 2

    config.optimizer.name = "adamw"
    config.optimizer.nesterov = False
    config.optimizer.learning_rate = 3e-3
    config.optimizer.recipe = (config.batch_size, config.optimizer.learning_rate)
    config.optimizer.warmup_epochs = 5.0
    config.optimizer.clip_norm = 5.0

    losses = config.losses
    losses.classification_weight, losses.contrastive_weight = _LOSSES.get(variant, (0.0, 1.0))
    losses.margin_kind = "arc"
    losses.scale = losses.contrastive_scale = 10.0
    losses.margin_radians = losses.contrastive_margin_radians = 0.0
    # Every query against the keys of its own batch, made by the network itself.
    losses.queue_length = 256
    losses.max_positives = 16
    losses.network_momentum = 0.0
    losses.keys_first = True

    names = ("landmarks", "landmarks_no_lookalikes", "landmarks_family_only")
    config.evaluation.data_root = "runs/study/world"
    config.evaluation.datasets = ",".join(names)
    config.evaluation.scales = (1.0,)
    config.evaluation.every_steps = 2**30  # Before the first step and after the last.
    config.checkpoint.every_steps = 200
    return config
