"""Prints the 9 x 9 means and deviations that pixel_features_test.cpp expects, from numpy."""
import numpy as np

from hashed import hashed_image

image = hashed_image(12, 20) / 255.0
for y, x in [(0, 0), (6, 9), (11, 19), (3, 17)]:
    window = image[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5].reshape(-1, 3)
    values = np.concatenate([window.mean(0), window.std(0)])
    print(f"{{{y}, {x}, {{{', '.join(f'{v:.9g}' for v in values)}}}}},")
