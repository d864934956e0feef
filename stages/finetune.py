"""Stage `finetune`: train a method's pretrained models further on each benchmark."""

from multisk import console
from multisk.pipeline.finetune import main

if __name__ == "__main__":
    console.run(main)
