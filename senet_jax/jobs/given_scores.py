"""Scores of pairs in a file of the user's: `query,item,global,score`, as `save_pairs` writes it."""

import csv
import hashlib
import pathlib

import numpy as np

from senet_jax.rerank.pairs import Features, PairCount, ScorePairs
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.system.files import read_regular

COLUMNS = ("query", "item", "global", "score")
LIMIT_BYTES = 2**30


class GivenPairs(Features):
    """The scores of pairs in a file.

    Args:
        path: of a CSV file with the columns `query`, `item` and `score`; what `global` says is not
            used, and it may be left out.
        queries: how many queries there are.
        items: how many items the database has.

    Attributes:
        sha256: of the file.

    Raises:
        UserError: the file cannot be read, a line is none, names no pair, or repeats one.
    """

    def __init__(self, path: pathlib.Path, queries: int, items: int):
        self._path = path
        try:
            content = read_regular(path, LIMIT_BYTES)
            text = content.decode()
        except (OSError, ValueError) as error:
            raise UserError(
                f"cannot read the pair scores {path}: {reason(error)}; check the file"
            ) from error
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._scores = _parse(text, path, queries, items)

    def scorer(self, pairs: PairCount) -> ScorePairs:
        """Looks scores up; see `ScorePairs`."""

        def score(wanted: np.ndarray) -> np.ndarray:
            keys = [(query, item) for query, item in wanted.tolist()]
            missing = [key for key in keys if key not in self._scores]
            if missing:
                query, item = missing[0]
                raise UserError(
                    f"{self._path} has no score of query {query} and item {item}, and of "
                    f"{len(missing) - 1:,} other pairs of {len(keys):,}; add them, or score fewer "
                    "with --config.rerank_top"
                )
            pairs.compared += len(keys)
            return np.array([self._scores[key] for key in keys], np.float32)

        return score


def _parse(text: str, path: pathlib.Path, queries: int, items: int) -> dict[tuple[int, int], float]:
    scores: dict[tuple[int, int], float] = {}
    lines = csv.reader(text.splitlines())
    try:
        header = next(lines, [])
        if not {"query", "item", "score"} <= set(header):
            raise ValueError(f"its first line is {shown(header)}; it has to be {','.join(COLUMNS)}")
        places = [header.index(name) for name in ("query", "item", "score")]
        for line in lines:
            if len(line) != len(header):
                raise ValueError(f"{shown(line)} has {len(line)} values, not {len(header)}")
            query, item, score = (line[place] for place in places)
            pair = _index(query, queries, "query"), _index(item, items, "item")
            if pair in scores:
                raise ValueError(f"query {pair[0]} and item {pair[1]} stand there twice")
            scores[pair] = _score(score)
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}, line {max(1, lines.line_num)}: {error}; mend the file") from error
    return scores


def _index(text: str, count: int, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) < count):
        raise ValueError(f"the {what} is {shown(text)}; it has to be from 0 to {count - 1}")
    return int(text)


def _score(text: str) -> float:
    try:
        score = float(text) if len(text) < 100 else np.nan
    except ValueError:
        score = np.nan
    if not abs(score) < 1e30:
        raise ValueError(f"the score is {shown(text)}; it has to be a finite number")
    return score
