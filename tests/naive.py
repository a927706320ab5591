"""Obvious implementations that share no helper with the real ones: the oracles of the tests."""

from __future__ import annotations


def correlation(image, kernel, read, center):
    """Sum `kernel[t] * read(place + t - center)` over all taps, at every pixel of the image.

    `read` takes a tuple of integers, inside the image or not.
    """
    import itertools

    result = {}
    for place in itertools.product(*map(range, image.shape)):
        total = 0
        for tap in itertools.product(*map(range, kernel.shape)):
            there = tuple(p + t - c for p, t, c in zip(place, tap, center, strict=True))
            total += kernel[tap] * read(there)
        result[place] = total
    return result
