"""Prints the totals that assignment_test.cpp expects, from scipy.optimize.linear_sum_assignment."""
import numpy as np
from scipy.optimize import linear_sum_assignment

from hashed import hashed


def total(scores):
    rows, columns = linear_sum_assignment(scores, maximize=True)
    return scores[rows, columns].sum()


for rows, columns, modulus, offset, scale in [
    (40, 27, 1009, 0, 1), (27, 40, 1009, 0, 1),       # rectangular both ways
    (40, 40, 7, 0, 1),                                # many ties
    (40, 27, 1009, -2000, 1),                         # all negative
    (30, 30, 65536, -32768, 1 / 65536),               # signed fractions
    (1, 50, 1009, 0, 1), (50, 1, 1009, 0, 1), (100, 90, 65536, 0, 1),
]:
    scores = ((hashed(rows * columns) % modulus) + offset).reshape(rows, columns) * scale
    print(f"{{{rows}, {columns}, {modulus}, {offset}, {scale!r}, {float(total(scores))!r}}},")
