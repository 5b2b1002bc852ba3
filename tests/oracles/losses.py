"""Both losses again, in float64 and by loops, from the formulas and without their shortcuts."""

import math

import numpy as np

# Of float32: logits reach 30, where neighbouring numbers are 2e-6 apart. Gradients are compared to
# the largest of their array.
VALUE_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-5


def positive(theta, m):
    if math.cos(theta) > math.cos(math.pi - m):
        return math.cos(theta + m)
    return math.cos(theta) - m * math.sin(math.pi - m)


def negative(cosine, positive_theta, t, m, kind):
    if kind == "curricular" and cosine > math.cos(positive_theta + m):
        return cosine * (t + cosine)
    return cosine


def cosine(x, y):
    return float(np.dot(x, y) / (np.linalg.norm(x) * np.linalg.norm(y)))


def angle(c):
    return math.acos(min(1.0, max(-1.0, c)))


def term(positive_cosine, negative_cosines, t, s, m, kind):
    """-log of the positive's probability among itself and the negatives."""
    theta = angle(positive_cosine)
    numerator = math.exp(s * positive(theta, m))
    others = [math.exp(s * negative(c, theta, t, m, kind)) for c in negative_cosines]
    return -math.log(numerator / (numerator + sum(others)))


def running_after(t, positive_cosines):
    return 0.99 * t + 0.01 * sum(positive_cosines) / len(positive_cosines)


def classification_targets(embeddings, labels, classes):
    return [cosine(x, classes[y]) for x, y in zip(embeddings, labels, strict=True)]


def classification(embeddings, labels, classes, t, s, m, kind):
    """The loss; `t` is the running scalar after the step's update, which has no gradient."""
    targets = classification_targets(embeddings, labels, classes)
    total = 0.0
    for x, y, target in zip(embeddings, labels, targets, strict=True):
        others = [cosine(x, row) for i, row in enumerate(classes) if i != y]
        total += term(target, others, t, s, m, kind)
    return total / len(labels)


def contrastive_positives(embeddings, keys, labels, rows, row_labels, limit):
    """For each query the cosines of its own key and of the first `limit` rows of its label."""
    return [
        [
            cosine(x, key),
            *[cosine(x, row) for row, z in zip(rows, row_labels, strict=True) if z == y][:limit],
        ]
        for x, key, y in zip(embeddings, keys, labels, strict=True)
    ]


def contrastive(embeddings, keys, labels, rows, row_labels, limit, t, s, m, kind):
    """The loss; `t` as above; rows of label -1 are unfilled."""
    positives = contrastive_positives(embeddings, keys, labels, rows, row_labels, limit)
    total = 0.0
    for x, y, line in zip(embeddings, labels, positives, strict=True):
        others = [
            cosine(x, row) for row, z in zip(rows, row_labels, strict=True) if z not in (y, -1)
        ]
        total += sum(term(c, others, t, s, m, kind) for c in line) / len(line)
    return total / len(labels)


def enqueued(descriptors, labels, position, keys, key_labels):
    """The queue after the keys came in one by one."""
    descriptors, labels = descriptors.copy(), labels.copy()
    for key, label in zip(keys, key_labels, strict=True):
        descriptors[position] = key / np.linalg.norm(key)
        labels[position] = label
        position = (position + 1) % len(labels)
    return descriptors, labels, position


def gradient(function, array, step=1e-6):
    """Central differences of a function of one float64 array."""
    slopes = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        moved = array.copy()
        moved[index] = array[index] + step
        above = function(moved)
        moved[index] = array[index] - step
        slopes[index] = (above - function(moved)) / (2 * step)
    return slopes
