"""Prints what kmeans_test.cpp expects, from sklearn.cluster.KMeans."""
import numpy as np
from sklearn.cluster import KMeans

from hashed import hashed


def blobs(count, clusters, dims, spacing):
    """Point n is in blob n % clusters, at spacing * (1 + blob // dims) on axis blob % dims."""
    noise = (hashed(count * dims).reshape(count, dims) % 2001 - 1000) / 1000
    centres = np.zeros((clusters, dims))
    for blob in range(clusters):
        centres[blob, blob % dims] = spacing * (1 + blob // dims)
    return centres[np.arange(count) % clusters] + noise


for count, clusters, dims, spacing in [(90, 6, 3, 20), (400, 10, 4, 15), (50, 1, 2, 10)]:
    points = blobs(count, clusters, dims, spacing)
    fitted = KMeans(clusters, n_init=10, random_state=0, tol=0).fit(points)
    centroids = fitted.cluster_centers_
    order = np.lexsort(centroids.T[::-1])
    print(count, clusters, dims, spacing, "inertia", repr(float(fitted.inertia_)))
    if clusters == 6:
        print("  centroids", np.array2string(centroids[order], separator=", ", precision=9))

uniform = (hashed(600).reshape(300, 2) % 1000) / 1000
best = min(
    KMeans(8, n_init=50, random_state=seed, tol=0).fit(uniform).inertia_ for seed in range(3)
)
print("uniform, 300 points, 8 clusters: best inertia", repr(float(best)))
