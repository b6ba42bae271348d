"""Scale factors, efficiencies and weights from correctionlib files."""
