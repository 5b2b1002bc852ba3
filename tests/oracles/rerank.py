"""Re-ranking from its definitions, by loops in float64 over plain lists."""

import numpy as np


def ordered(scores):
    """Indices by score, best first; among equals the lower index."""
    return sorted(range(len(scores)), key=lambda index: (-scores[index], index))


def nearest_others(database, count):
    """For each row its most similar other rows."""
    return [
        [other for other in ordered(database @ row) if other != item][:count]
        for item, row in enumerate(database)
    ]


def expanded(query, neighbours, alpha):
    """The unit sum of a query and its neighbours weighted by similarity^alpha."""
    total = np.array(query, np.float64)
    for neighbour in neighbours:
        similarity = max(float(query @ neighbour), 0.0)
        total = total + (1.0 if alpha == 0 else similarity**alpha) * neighbour
    norm = np.sqrt((total**2).sum())
    return total / norm if norm else total


def refinement_scores(query, candidates, neighbours=9, weight=0.15, merged=10):
    """The mean of the two scores of each candidate of a shortlist."""
    refined = []
    for item, own in enumerate(candidates):
        similarity = [float(own @ other) for other in candidates]
        nearest = [other for other in ordered(similarity) if other != item][:neighbours]
        total, weights = own.astype(np.float64), 1.0
        for other in nearest:
            share = weight * max(similarity[other], 0.0)
            total, weights = total + share * candidates[other], weights + share
        refined.append(total / weights)
    first = [float(query @ own) for own in refined]
    merged_query = np.max([refined[item] for item in ordered(first)[:merged]], axis=0)
    return [(s + float(merged_query @ own)) / 2 for s, own in zip(first, refined, strict=True)]


def mutual_similarities(database, count):
    """Similarities between items that are among each other's `count` nearest others, else 0."""
    nearest = nearest_others(database, count)
    matrix = np.zeros((len(database), len(database)))
    for item, others in enumerate(nearest):
        for other in others:
            if item in nearest[other]:
                matrix[item, other] = max(float(database[item] @ database[other]), 0.0)
    return matrix


def diffused(query, neighbours, mutual, database, alpha=0.99, power=3):
    """The dense solution of `(I - alpha S) f = y`; `neighbours` are the query's items."""
    affinity = mutual**power
    degrees = affinity.sum(axis=1)
    scales = [1 / np.sqrt(degree) if degree else 0.0 for degree in degrees]
    normalised = np.diag(scales) @ affinity @ np.diag(scales)
    start = np.zeros(len(database))
    for item in neighbours:
        start[item] = max(float(query @ database[item]), 0.0) ** power
    return np.linalg.solve(np.eye(len(database)) - alpha * normalised, start)
