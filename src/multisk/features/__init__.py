"""Media files to arrays: decoding, the extractors, and the store that keeps what they make."""
