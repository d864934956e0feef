"""Stage `corpora`: render one of the small corpora of narrated videos."""

from multisk import console
from multisk.pipeline.corpora import main

if __name__ == "__main__":
    console.run(main)
