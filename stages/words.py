"""Stage `words`: what texts are made of."""

from multisk import console
from multisk.pipeline.words import main

if __name__ == "__main__":
    console.run(main)
