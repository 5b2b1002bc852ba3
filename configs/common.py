r"""The training recipe that all configs start from.

The authors never released training code; `senet_jax/training/settings.py` says of each value where
it is from, and so does `python -m senet_jax.main --config=configs/X.py --help`, with what each key
means.

The data and the weights that the trainings on GLDv2-clean start from:

  python -m senet_jax.data.prepare gldv2_clean --csv=train_clean.csv --images=FOLDER \
      --target=datasets/gldv2_clean
  python -m senet_jax.convert R-50-1x64d.pyth weights/imagenet_r50
"""

from collections.abc import Sequence

from ml_collections import ConfigDict

from senet_jax.config import to_config
from senet_jax.losses.classification import Classification
from senet_jax.losses.momentum_contrast import Contrastive
from senet_jax.training.settings import TrainingSettings


def check_variant(variant: str, variants: Sequence[str], file: str) -> None:
    """Raises a `ValueError` unless a config file has a variant.

    Args:
        variant: what stands behind the file's colon.
        variants: those that there are.
        file: for the message.
    """
    if variant not in variants:
        raise ValueError(f"name a variant, --config=configs/{file}:NAME; {', '.join(variants)}")


def train(model: str) -> ConfigDict:
    """SENet on GLDv2-clean with both losses."""
    settings = TrainingSettings(
        model=model,
        # [parent] ImageNet weights of the pycls model zoo.
        start=f"weights/imagenet_{model.split('_')[0]}",
        losses=(Classification(), Contrastive()),
    )
    return to_config(settings)


def classification_only(config: ConfigDict) -> ConfigDict:
    """Leaves L_con out, with its queue and its second network."""
    config.losses.classification_weight = 1.0
    config.losses.contrastive_weight = 0.0
    return config
