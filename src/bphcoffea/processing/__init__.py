"""Run the declarations of an analysis over a chunk of events."""
