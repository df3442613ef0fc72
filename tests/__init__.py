"""What proves: a test file for each module."""
