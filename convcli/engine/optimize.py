"""Optimizer steps over flat float32 vectors, in place: one pass over memory each.

`scale` multiplies the gradient first (clipping), `decay` adds that multiple of the weight to it
(the L2 penalty). The equations are those of `torch.optim`, so that a rate means the same.
"""

from __future__ import annotations

import numpy as np

from convcli.engine.compilation import compiled


@compiled
def sgd(weights, gradient, velocity, rate, momentum, nesterov, decay, scale):
    """Step `weights` against `gradient`; with momentum 0 `velocity` is neither read nor written.

    v = momentum * v + g, then w -= rate * v, or w -= rate * (g + momentum * v) for Nesterov's.
    Source: Sutskever et al. 2013, On the importance of initialization and momentum.
    """
    for i in range(weights.size):
        slope = gradient[i] * scale + decay * weights[i]
        if momentum != 0:
            velocity[i] = momentum * velocity[i] + slope
            slope = slope + momentum * velocity[i] if nesterov else velocity[i]
        weights[i] -= rate * slope


@compiled
def adam(
    weights, gradient, mean, square, rate, beta1, beta2, epsilon, step, decay, decoupled, scale
):
    """Step `weights` by the ratio of the running mean and root mean square of the gradient.

    `step` counts from 1, for the correction of the first means, which began at 0. With `decoupled`
    the decay shrinks the weights themselves (AdamW) instead of joining the gradient.
    Sources: Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2.
    """
    one = np.float32(1)
    step_rate = np.float32(rate / (1.0 - np.float64(beta1) ** step))
    root_correction = np.float32(1.0 / np.sqrt(1.0 - np.float64(beta2) ** step))
    shrink = one - rate * decay if decoupled else one
    penalty = np.float32(0) if decoupled else decay
    for i in range(weights.size):
        weight = weights[i] * shrink
        slope = gradient[i] * scale + penalty * weight
        mean[i] = beta1 * mean[i] + (one - beta1) * slope
        square[i] = beta2 * square[i] + (one - beta2) * slope * slope
        weights[i] = weight - step_rate * mean[i] / (np.sqrt(square[i]) * root_correction + epsilon)


@compiled
def rmsprop(weights, gradient, square, velocity, rate, alpha, epsilon, momentum, decay, scale):
    """Step `weights` by the gradient over its running root mean square, with perhaps momentum.

    Source: Tieleman and Hinton 2012, lecture 6.5, rmsprop; epsilon outside the root as in PyTorch.
    """
    one = np.float32(1)
    for i in range(weights.size):
        slope = gradient[i] * scale + decay * weights[i]
        square[i] = alpha * square[i] + (one - alpha) * slope * slope
        move = slope / (np.sqrt(square[i]) + epsilon)
        if momentum != 0:
            velocity[i] = momentum * velocity[i] + move
            move = velocity[i]
        weights[i] -= rate * move


@compiled
def ema_update(average, weights, keep):
    """Move the running average of the weights: a = keep * a + (1 - keep) * w."""
    rest = np.float32(1) - keep
    for i in range(weights.size):
        average[i] = keep * average[i] + rest * weights[i]


@compiled
def squared_norm(vector):
    """Return the sum of squares of a float32 vector in float64, summed in a fixed order."""
    total = 0.0
    for i in range(vector.size):
        value = np.float64(vector[i])
        total += value * value
    return total
