"""Weights of simulated events: what an analysis may declare."""
