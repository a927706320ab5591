"""A network in motion: layer rules, losses, optimisers, schedules, the fit loop, model files."""
