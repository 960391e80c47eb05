"""Floor 3, from a log to a registered policy: import, calibrate, train, track, promote."""
