"""How to get what is missing of the published corpora."""

OBTAIN = {
    "pretrain": "obtain HowTo100M's features with the list of their paths and the captions, then: "
    "multisk import howto100m --list LIST.csv --captions caption.json --features FOLDER; "
    "or obtain videos and captions, then: multisk videos howto100m VIDEOS --captions caption.json",
    "youcook2": "obtain the released pickles of YouCook2, then: "
    "multisk import youcook2 --train TRAIN.pickle --validation VAL.pickle; or obtain videos and annotations, "
    "then: multisk videos youcook2 VIDEOS --annotations youcookii_annotations_trainval.json "
    "--retrieval validation_youcook.csv",
    "msrvtt": "obtain the released pickles of MSR-VTT and the 1k-A list, then: multisk import msrvtt "
    "--train TRAIN.pickle --test TEST.pickle --test-list MSRVTT_JSFUSION_test.csv; or obtain videos and "
    "annotations, then: multisk videos msrvtt VIDEOS --annotations MSRVTT_data.json "
    "--test-list MSRVTT_JSFUSION_test.csv",
}
