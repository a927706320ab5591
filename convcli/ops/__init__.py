"""What a layer is in numbers, one file for a family of layers.

Each holds a rule in plain NumPy, forward returning its own backward, in any float type: the oracle
of the compiled programs, the subject of gradient checks, and what explains a single picture; the
compiled operations, with the names of their operands; and the rule that lowers a step to them.
"""
