"""b tagging: sections of the TOML, and their payloads."""
