r"""The training recipe that all configs start from.

The authors never released training code. Where each value is from: [code] their public inference
code, [supp] the paper's supplement, [parent] the public training code that theirs derives from
(github feymanpriv/DELG), [second-hand] what is known of CVNet-Global from third parties, [open] not
known. Where SENet's own values differ from CVNet's is not known either. What each key means is said
by `python -m senet_jax.main --config=configs/X.py --help`.

The data and the trunk that the trainings on GLDv2-clean need:

  python -m senet_jax.data.prepare gldv2_clean --csv=train_clean.csv --images=FOLDER \
      --target=datasets/gldv2_clean
  python -m senet_jax.convert R-50-1x64d.pyth weights/imagenet_r50
"""

from ml_collections import ConfigDict


def train(model: str) -> ConfigDict:
    """SENet on GLDv2-clean with both losses."""
    config = ConfigDict()
    config.job = "train"
    config.model = model
    config.seed = 0
    # [second-hand] ImageNet weights of the pycls model zoo.
    config.trunk = f"weights/imagenet_{model.split('_')[0]}"
    config.batch_size = 144  # [second-hand]
    config.epochs = 25.0  # [second-hand]
    config.precision = "float32"
    config.sync_batch_norm = True  # [open]
    config.descriptor_norm = False
    config.remat = False
    config.accumulate = 1
    config.log_every_steps = 50

    config.data = ConfigDict()
    config.data.folder = "datasets/gldv2_clean"
    config.data.side = 512  # [second-hand]
    config.data.smallest_area = 0.08  # [parent]
    config.data.widest_aspect = 4 / 3  # [parent]
    config.data.flip = True  # [parent]
    config.data.lighting_sigma = 0.1  # [parent]
    config.data.workers = 8
    config.data.group_classes = 0
    config.data.group_views = 0

    config.optimizer = ConfigDict()
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.005625  # .01 * batch / 256 [second-hand]
    config.optimizer.momentum = 0.9  # [second-hand]
    config.optimizer.nesterov = False  # [open]
    config.optimizer.weight_decay = 1e-4  # [second-hand]
    config.optimizer.no_weight_decay = ()
    config.optimizer.rate_multipliers = ()
    config.optimizer.warmup_epochs = 5.0  # [open]; the parent code's value.
    config.optimizer.warmup_start = 0.1  # [open]; the parent code's value.
    config.optimizer.clip_norm = 0.0

    config.losses = ConfigDict()
    config.losses.classification_weight = 0.5  # [second-hand]
    config.losses.contrastive_weight = 0.5  # [second-hand]
    config.losses.margin_kind = "curricular"  # [second-hand]
    config.losses.scale = 30.0  # [second-hand]
    config.losses.margin_radians = 0.15  # [second-hand]
    config.losses.contrastive_scale = 30.0  # [second-hand]
    config.losses.contrastive_margin_radians = 0.15  # [second-hand]
    config.losses.queue_length = 73_728  # [open]; a common guess.
    config.losses.max_positives = 32
    config.losses.network_momentum = 0.999  # [second-hand]
    config.losses.keys_first = False  # [open]
    config.losses.keys_batch_norm = "batch"  # [open]

    config.evaluation = ConfigDict()
    config.evaluation.data_root = "datasets"
    config.evaluation.datasets = ""
    config.evaluation.every_steps = 10_000
    config.evaluation.scales = (0.7071, 1.0, 1.4142)  # [code]

    config.checkpoint = ConfigDict()
    config.checkpoint.every_steps = 1_000
    config.checkpoint.keep = 2
    return config


def classification_only(config: ConfigDict) -> ConfigDict:
    """Leaves L_con out, with its queue and its second network."""
    config.losses.classification_weight = 1.0
    config.losses.contrastive_weight = 0.0
    return config
