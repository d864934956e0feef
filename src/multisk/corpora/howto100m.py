"""HowTo100M from its videos and its captions, in any of the three layouts they are published in."""

import math
from pathlib import Path

from multisk.corpora.captions import write_captions
from multisk.corpora.listing import read_listing
from multisk.corpora.manifest import write_corpus
from multisk.corpora.media import find_media, video_table
from multisk.corpora.registered import Registered, registered
from multisk.errors import InputError
from multisk.files import file_digest
from multisk.published.findings import Findings


def register_howto100m(
    videos: Path, folder: Path, *, captions: Path, listing: Path | None = None, name: str = "howto100m"
) -> Registered:
    """List the videos of HowTo100M, which stay where they are, as a corpus.

    captions: caption.pickle, caption.json or a folder of <video_id>.csv
    listing: csv with a column path, video_path or video_id; default: all the files that have captions
    Videos without a file or without captions are noted and left out.
    Raises InputError for files that cannot be read, and when no video is left.
    """
    findings = Findings()
    files = find_media(videos, findings)
    if listing is not None:
        listed = read_listing(listing, findings)
        for video_id in listed:
            if video_id not in files:
                findings.add("missing videos", f"{videos}: {video_id}: no file; left out")
        files = {video_id: files[video_id] for video_id in listed if video_id in files}
    said = write_captions(captions, list(files), folder / "captions", findings)
    if not said:
        raise InputError(f"{captions}: no usable captions of any video below {videos}")
    corpus = write_corpus(
        folder,
        name=name,
        role="narrated",
        description="HowTo100M",
        videos=video_table((key, path, "train", math.nan) for key, path in files.items() if key in said),
        captions=said,
        source={"listing": file_digest(listing) if listing else None},
    )
    return registered(corpus, findings, {})
