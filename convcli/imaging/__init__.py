"""Kernels applied to pictures: reading, writing, borders, channels, value range."""
