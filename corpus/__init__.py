"""What the assistant knows, and how it came to be searchable."""
