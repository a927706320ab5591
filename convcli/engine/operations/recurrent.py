"""One step of an LSTM for all samples of a chunk, forward and backward.

Gates follow one another in the order i f g o, `units` each.
"""

from __future__ import annotations

import numpy as np

from convcli.engine.calls import operand, operation
from convcli.engine.operations.elementary import hyperbolic_tangent, logistic

ONE = np.float32(1.0)


@operation
def lstm_forward(bases, row, first, count):
    """C' = f c + i g, h' = o tanh(c'); the gates are activated in place.

    row: gates 0, cell before 3, cell after 6, hidden after 9, units 12.
    """
    units = row[12]
    for sample in range(first, first + count):
        gates, before = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        after, hidden = operand(bases, row, 6, sample), operand(bases, row, 9, sample)
        for u in range(units):
            i, f = logistic(gates[u]), logistic(gates[units + u])
            g, o = hyperbolic_tangent(gates[2 * units + u]), logistic(gates[3 * units + u])
            cell = f * before[u] + i * g
            gates[u], gates[units + u] = i, f
            gates[2 * units + u], gates[3 * units + u] = g, o
            after[u] = cell
            hidden[u] = o * hyperbolic_tangent(cell)


@operation
def lstm_backward(bases, row, first, count):
    """Turn the gradients of hidden and cell into those of the gates' sums and the cell before.

    row: gates 0, cell before 3, cell after 6, gradient of hidden 9, gradient of the cell 12
    (renewed), gradient of the gates 15, units 18.
    """
    units = row[18]
    for sample in range(first, first + count):
        gates, before = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        after, dhidden = operand(bases, row, 6, sample), operand(bases, row, 9, sample)
        dcell, slopes = operand(bases, row, 12, sample), operand(bases, row, 15, sample)
        for u in range(units):
            i, f = gates[u], gates[units + u]
            g, o = gates[2 * units + u], gates[3 * units + u]
            top = hyperbolic_tangent(after[u])
            slope = dcell[u] + dhidden[u] * o * (ONE - top * top)
            slopes[u] = slope * g * i * (ONE - i)
            slopes[units + u] = slope * before[u] * f * (ONE - f)
            slopes[2 * units + u] = slope * i * (ONE - g * g)
            slopes[3 * units + u] = dhidden[u] * top * o * (ONE - o)
            dcell[u] = slope * f
