"""A network in motion: layer rules, losses, optimizers, schedules, the fit loop, model files."""
