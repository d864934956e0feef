"""Stage `features`: appearance, motion and log-mel features of a corpus."""

from multisk import console
from multisk.pipeline.features import main

if __name__ == "__main__":
    console.run(main)
