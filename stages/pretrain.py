"""Stage `pretrain`: train a method on narrated videos, once per seed."""

from multisk import console
from multisk.pipeline.pretrain import main

if __name__ == "__main__":
    console.run(main)
