"""Speed against peers, as ratios measured in one run; started by name, never by the test run."""
