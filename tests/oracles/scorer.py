"""The benchmark's measures from their definitions, by loops over sorted lists."""


def ranking(scores, unranked=()):
    """All items, best first: by score, among equals by index, the unranked at the end."""
    ranked = [item for item in range(len(scores)) if item not in unranked]
    ranked.sort(key=lambda item: scores[item], reverse=True)  # A stable sort: ties by index.
    return ranked + sorted(unranked)


def score(ranking, positives, junk):
    """(AP, mP@1, mP@5, mP@10) of one query, or None if it has nothing to find."""
    if not len(positives):
        return None
    hits = [item in positives for item in ranking if item not in junk]
    area, found = 0.0, 0
    for seen, hit in enumerate(hits):
        if hit:
            precision_before = found / seen if seen else 1.0
            found += 1
            precision_after = found / (seen + 1)
            area += (precision_before + precision_after) / 2 * (1 / len(positives))
    return (area, *(_precision_at(k, hits) for k in (1, 5, 10)))


def _precision_at(k, hits):
    if True not in hits:
        return 0.0
    while not hits[-1]:
        hits = hits[:-1]
    first = hits[:k]
    return sum(first) / len(first)


def scores_of_benchmark(rankings, ground_truth):
    """For each protocol the scores of every query; `rankings[i]` is query i's, best first."""
    kinds = {
        "easy": (["easy"], ["junk", "hard"]),
        "medium": (["easy", "hard"], ["junk"]),
        "hard": (["hard"], ["junk", "easy"]),
    }
    return {
        protocol: [
            score(
                list(ranking),
                {int(i) for kind in ok for i in getattr(ground_truth, kind)[query]},
                {int(i) for kind in junk for i in getattr(ground_truth, kind)[query]},
            )
            for query, ranking in enumerate(rankings)
        ]
        for protocol, (ok, junk) in kinds.items()
    }
