"""Make correctionlib files: from tables, pile-up profiles, tag and probe, and schema version 1."""
