"""One's own videos: index them once, then search them by text, by sound or by example."""
