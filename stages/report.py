"""Stage `report`: the verdicts on the claims, the site and its tables."""

from multisk import console
from multisk.pipeline.report import main

if __name__ == "__main__":
    console.run(main)
