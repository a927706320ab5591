"""Losses with the gradient of their mean.

LANE holds the sums: 0 loss, 1 correct answers, 2 weight. SHARED constants, an operand of three:
1 / (sum of weights of the batch), label smoothing, unused.
"""

from __future__ import annotations

import numpy as np

from convcli.engine.calls import floats_at, operand, operation, summing_operation, words_at
from convcli.engine.operations.activation import softmax


@operation
def cross_entropy(bases, row, first, count):
    """Loss and gradient of softmax followed by cross-entropy, in one.

    row: gradient of the logits 0, logits 3, probabilities 6, constants 9, classes 12. TARGET holds
    int64 labels, SAMPLE_WEIGHT a float32 for every sample. With smoothing e the target is 1 - e
    for the label and e / classes for all (Szegedy et al. 2016).
    """
    constants, sums = operand(bases, row, 9, 0), floats_at(bases[5])
    labels, weights = words_at(bases[8]), floats_at(bases[9])
    classes = row[12]
    share, smoothing = constants[0], constants[1]
    off = smoothing / np.float32(classes)
    for sample in range(first, first + count):
        slope, logits = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        p = operand(bases, row, 6, sample)
        softmax(p, logits, classes)
        place = bases[11] + sample
        label = labels[place]
        weight = weights[place]
        largest, best = logits[0], 0
        mean = np.float32(0.0)
        for i in range(classes):
            mean += logits[i]
            if logits[i] > largest:
                largest, best = logits[i], i
        total = 0.0
        for i in range(classes):
            total += np.exp(np.float64(logits[i] - largest))
        level = largest + np.float32(np.log(total))
        mean /= np.float32(classes)
        wanted = (np.float32(1.0) - smoothing) * logits[label] + smoothing * mean
        sums[0] += weight * (level - wanted)
        sums[1] += np.float32(1.0 if best == label else 0.0)
        for i in range(classes):
            slope[i] = weight * share * (p[i] - off)
        slope[label] -= weight * share * (np.float32(1.0) - smoothing)


@summing_operation
def squared_error(bases, row, first, count):
    """Mean squared error: the mean over outputs and samples.

    row: gradient 0, output 3, constants 9, outputs 12. TARGET holds float32 rows. The largest
    output is the answer, as it is to every reader of the model; a single one answers nothing.
    """
    constants, sums = operand(bases, row, 9, 0), floats_at(bases[5])
    targets, weights = floats_at(bases[8]), floats_at(bases[9])
    outputs = row[12]
    for sample in range(first, first + count):
        slope, output = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        place = bases[11] + sample
        weight = weights[place] / np.float32(outputs)
        loss = np.float32(0.0)
        answer, truth = 0, place * outputs
        for i in range(outputs):
            target = place * outputs + i
            error = output[i] - targets[target]
            loss += error * error
            slope[i] = np.float32(2.0) * weight * constants[0] * error
            if output[i] > output[answer]:
                answer = i
            if targets[target] > targets[truth]:
                truth = target
        sums[0] += weight * loss
        if outputs > 1 and answer == truth - place * outputs:
            sums[1] += np.float32(1.0)
