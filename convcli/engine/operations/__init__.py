"""Compiled operations, one file for a family; each says what its row of integers holds."""
