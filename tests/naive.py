"""Obvious implementations that share no helper with the real ones: the oracles of the tests."""

from __future__ import annotations
