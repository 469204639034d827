"""Prints the scores that segmentation_score_test.cpp expects, from numpy and scipy."""
import numpy as np
from scipy.optimize import linear_sum_assignment

from hashed import hashed


def score(counts, class_of_cluster):
    classes = counts.shape[1]
    predicted = np.zeros((classes, classes))  # [predicted class, true class]
    for cluster, label in class_of_cluster.items():
        predicted[label] += counts[cluster]
    hits = np.diag(predicted)
    iou = hits / (predicted.sum(1) + counts.sum(0) - hits)
    return iou, np.nanmean(iou), hits.sum() / counts.sum()


def hungarian(counts):
    union = counts.sum(1, keepdims=True) + counts.sum(0, keepdims=True) - counts
    rows, columns = linear_sum_assignment(counts / union, maximize=True)
    return score(counts, dict(zip(rows.tolist(), columns.tolist())))


def majority(counts):
    return score(counts, dict(enumerate(counts.argmax(1).tolist())))


for clusters, classes in [(3, 3), (6, 4), (4, 6), (27, 11)]:
    counts = (hashed(clusters * classes) % 1000).reshape(clusters, classes).astype(float)
    for scorer in (hungarian, majority):
        iou, mean, accuracy = scorer(counts)
        print(clusters, classes, scorer.__name__, "mean", float(mean), "accuracy", float(accuracy))
        if classes <= 6:
            print("   iou", ", ".join(f"{v:.15g}" for v in iou))
