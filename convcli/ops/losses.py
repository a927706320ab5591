"""Losses with the gradient of their mean, added up in the shard: loss, correct answers, weight.

`constants` are three: 1 / (sum of weights of the batch), label smoothing, unused.
"""

from __future__ import annotations

import numpy as np

from convcli.engine.calls import (
    AT,
    Operands,
    floats_at,
    operand,
    operation,
    summing_operation,
    words_at,
)  # fmt: skip
from convcli.ops.activation import softmax

CROSS_ENTROPY = Operands("dlogits logits probabilities constants", "classes")


@operation(CROSS_ENTROPY)
def cross_entropy(bases, row, first, count):
    """Loss and gradient of softmax followed by cross-entropy, in one.

    TARGET holds int64 labels, SAMPLE_WEIGHT a float32 for every sample. With smoothing e the target
    is 1 - e for the label and e / classes for all (Szegedy et al. 2016).
    """
    constants = operand(bases, row, CROSS_ENTROPY.constants, 0)
    sums = floats_at(bases[AT.shard])
    labels, weights = words_at(bases[AT.target]), floats_at(bases[AT.sample_weight])
    classes = row[CROSS_ENTROPY.classes]
    share, smoothing = constants[0], constants[1]
    off = smoothing / np.float32(classes)
    for sample in range(first, first + count):
        slope = operand(bases, row, CROSS_ENTROPY.dlogits, sample)
        logits = operand(bases, row, CROSS_ENTROPY.logits, sample)
        p = operand(bases, row, CROSS_ENTROPY.probabilities, sample)
        softmax(p, logits, classes)
        place = bases[AT.first] + sample
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


SQUARED_ERROR = Operands("doutput output constants", "outputs")


@summing_operation(SQUARED_ERROR)
def squared_error(bases, row, first, count):
    """Mean squared error: the mean over outputs and samples. TARGET holds float32 rows.

    The largest output is the answer, as it is to every reader of the model; a single one answers
    nothing.
    """
    constants = operand(bases, row, SQUARED_ERROR.constants, 0)
    sums = floats_at(bases[AT.shard])
    targets, weights = floats_at(bases[AT.target]), floats_at(bases[AT.sample_weight])
    outputs = row[SQUARED_ERROR.outputs]
    for sample in range(first, first + count):
        slope = operand(bases, row, SQUARED_ERROR.doutput, sample)
        output = operand(bases, row, SQUARED_ERROR.output, sample)
        place = bases[AT.first] + sample
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
