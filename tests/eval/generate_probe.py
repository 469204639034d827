"""Prints what neighbours_test.cpp and linear_probe_test.cpp expect, from scikit-learn."""
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from hashed import hashed


def features(count, dims):
    return (hashed(count * dims).reshape(count, dims) % 2001 - 1000) / 1000.0


x = features(60, 5)
classes = np.arange(60) % 3
x[np.arange(60), classes] += 0.8

cosine = NearestNeighbors(metric="cosine", algorithm="brute", n_neighbors=7).fit(x[:40])
distances, indices = cosine.kneighbors(x[40:])
print("neighbours of query 0:", indices[0].tolist())
print("sum of indices, weighted by rank:", int((indices * np.arange(1, 8)).sum()))
print("sum of cosines:", repr(float((1 - distances).sum())))
votes = KNeighborsClassifier(7, metric="cosine", algorithm="brute",
                             weights=lambda d: np.exp((1 - d) / 0.07)).fit(x[:40], classes[:40])
print("votes:", votes.predict(x[40:]).tolist())

z = (x - x.mean(0)) / x.std(0)
for penalty in [1e-1, 1e-3]:
    fitted = LogisticRegression(C=1 / (penalty * len(x)), tol=1e-12, max_iter=10000).fit(z, classes)
    print("penalty", penalty, "log loss and probabilities of row 0:",
          repr(float(-fitted.predict_log_proba(z)[np.arange(60), classes].mean())),
          fitted.predict_proba(z)[0].tolist())
