"""Every layer in plain NumPy, forward returning its own backward, in any float type.

These are the oracle of the compiled programs, the subject of gradient checks, and what explains a
single picture; one file for a layer family.
"""
