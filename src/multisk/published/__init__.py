"""What others published, read without trusting it: features, captions, archives."""
