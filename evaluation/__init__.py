"""Floor 2, what a policy is worth: logs, estimators, intervals, the report."""
