"""Running an analysis: chunks, executors, the run's folder."""
