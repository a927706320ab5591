"""Other people's formats: networks and weights, in and out."""
