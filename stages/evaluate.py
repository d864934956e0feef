"""Stage `evaluate`: retrieval on the benchmarks, zero-shot and fine-tuned."""

from multisk import console
from multisk.pipeline.evaluate import main

if __name__ == "__main__":
    console.run(main)
