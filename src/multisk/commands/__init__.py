"""Commands of `multisk`, in groups; `multisk.cli` puts them together."""
