"""Stage `sweep`: run a study of params.yaml, or what is left of it."""

from multisk import console
from multisk.pipeline.sweep import main

if __name__ == "__main__":
    console.run(main)
