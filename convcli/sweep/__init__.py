"""Many trainings: search spaces in words, trials as values, one machine or a cluster."""
