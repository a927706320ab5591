"""Compiled numbers: arrays, strides and threads; no layer, no image, no file is known here."""
