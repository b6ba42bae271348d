"""From histograms to physics: mass fits."""
