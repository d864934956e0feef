"""What registering somebody's video files as a corpus gives back."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from multisk.corpora.manifest import Corpus
from multisk.errors import InputError
from multisk.published.findings import Findings


@dataclass(frozen=True)
class Registered:
    """A corpus of files that stay where they are; counts and findings are also in findings.json."""

    corpus: Corpus
    findings: Findings
    counts: dict[str, int]

    def __str__(self) -> str:
        numbers = {**self.counts, **self.findings.counts}
        return f"{self.corpus.name}: " + ", ".join(f"{count} {name}" for name, count in numbers.items())


def registered(corpus: Corpus, findings: Findings, complete: Mapping[str, int]) -> Registered:
    """Count the clips that have a file, of the `complete` number of a split; keep the findings.

    Raises InputError when there is none: then no corpus is left, only the findings.
    """
    if not len(corpus.videos):
        findings.save(corpus.folder, {"videos": 0})
        (corpus.folder / "corpus.json").unlink()
        raise InputError(
            f"{corpus.folder}: none of the video files belongs to {corpus.name}; see "
            f"{corpus.folder / 'findings.json'}"
        )
    counts = {"videos": len(corpus.videos)}
    if corpus.clips is not None:
        present = corpus.clips["video_id"].isin(set(corpus.videos["video_id"]))
        have, listed = Counter(corpus.clips["split"][present]), Counter(corpus.clips["split"])
        counts |= {f"{split} clips of {complete.get(split, listed[split])}": have[split] for split in listed}
    findings.save(corpus.folder, counts)
    return Registered(corpus, findings, counts)
