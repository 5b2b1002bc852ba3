"""The ablations of SENet on generated landmarks, for `senet-jax study`.

  python -m senet_jax.data.prepare synthetic_landmarks --target=runs/study/world --size=demo \
      --seed=1
  python -m senet_jax.main --config=configs/study.py:baseline --workdir=runs/study/baseline

The names are `baseline`, `fusion`, `direct`, `channel_wise`, `dot` and `concat`, which differ in
the self-similarity module alone, and `classification` and `both`: the losses with the channel-wise
module.

The protocol, written before any of these trainings was run:

1. The network and its settings are the demo's, the trunk among what is trained. The network was
   chosen in the world of seed 0, on its validation split, by the baseline: it fails by arrangement.
   A position of its map sees 27 of 64 pixels, the window 32 more.
2. `channel_wise` and `fusion`, seed 0, were seen there as well; configs/demo.py has the figures. So
   the study is made in the world of seed 1, of which nothing was looked at before. All variants
   have the same settings; none was tuned.
3. The evaluation split is looked at once, at the end of each training, with its last weights.
4. What is compared: Medium mAP on `landmarks`, look-alikes among the database. The other datasets
   and protocols explain it. A difference between two variants is the mean over seeds and queries
   of their paired differences; its interval resamples both. Five seeds, 0 to 4, of all variants,
   and none is left out. What an interval covers zero of is no finding.
5. `classification` and `both` are the recipe's two losses from nothing, without margin for lack of
   a pretrained trunk. Nothing of them was tuned: rate, scale and length are those of L_con alone.
6. The re-ranker of `s1_trained` is configs/demo_reranker.py's, one for each `channel_wise` network,
   of the network's seed. Its recipe and its weight were chosen in the world of seed 0, for one
   network; nothing was re-ranked by it in the world of seed 1 before this was written. Blind and
   protocol are both told.
7. What is evaluated with 100,000 distractors, `data.prepare synthetic_distractors` and
   `--distractors=synthetic_distractors`, is compared by the same, Medium mAP on `landmarks`. Of
   them nothing was evaluated before this was written.
"""

from ml_collections import ConfigDict

from configs import common, demo

_SWITCHES = ("baseline", "fusion", "direct", "dot", "concat")
_LOSSES = {"channel_wise": (0.0, 1.0), "classification": (1.0, 0.0), "both": (0.5, 0.5)}


def get_config(variant: str) -> ConfigDict:
    """The settings of a variant.

    Args:
        variant: see above.
    """
    common.check_variant(variant, (*_SWITCHES, *_LOSSES), "study.py")
    config = demo.get_config()
    if variant in _SWITCHES:
        config.model = f"{config.model}_{variant}"
    config.data.folder = "runs/study/world/synthetic_landmarks"

    losses = config.losses
    losses.classification_weight, losses.contrastive_weight = _LOSSES.get(variant, (0.0, 1.0))
    losses.scale = losses.contrastive_scale
    losses.margin_radians = losses.contrastive_margin_radians

    config.evaluation.data_root = "runs/study/world"
    config.evaluation.every_steps = 2**30  # Before the first step and after the last.
    config.checkpoint.every_steps = 200
    return config
