"""Values of the other rooms as tables and pages: what commands print and notebooks show."""
