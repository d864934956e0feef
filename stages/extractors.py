"""Stage `extractors`: fix the networks that turn frames into features."""

from multisk import console
from multisk.pipeline.extractors import main

if __name__ == "__main__":
    console.run(main)
