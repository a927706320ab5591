"""From a network to a program of the engine's operations, one file for a layer family."""
