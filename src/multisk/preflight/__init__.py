"""What a pipeline needs, looked at before anything runs."""
