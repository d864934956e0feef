"""The typed schema of params.yaml, and its only reader.

Every setting of a run stands in params.yaml: nothing here has a default, unknown keys are refused,
and the sections follow the stages of dvc.yaml. The one exception are the methods: a method says only what
it has, so that what the others are made of may be left out of its entry; left out, it has no effect.
"""

from math import prod
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from multisk.errors import InputError, one_line

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound comes first")
    return bounds


Range = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Benchmark = Literal["youcook2", "msrvtt"]
Sampling = Literal["clip", "nearest", "max_pool"]  # how too many features become video_tokens


class Section(BaseModel):
    """A part of params.yaml: immutable, with no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# --- corpora -----------------------------------------------------------------------------------


class HowtoWorld(Section):
    """Pretraining videos: a narrator who talks before, after and beside what is seen."""

    videos: Count
    seconds: Range
    lead_seconds: Positive  # largest distance between a word and what it names
    chat: Fraction  # share of sentences about nothing
    dropped_words: Fraction  # share of words that the transcript loses
    misheard_words: Fraction  # share of words that the transcript gets wrong


class Youcook2World(Section):
    """Close domain: new recipes in the same look, clips with imperative captions."""

    train_videos: Count
    validation_videos: Count
    clips_per_video: Annotated[int, Field(ge=1, le=40)]  # a recipe has no more steps that make sense
    clip_seconds: Range


class MsrvttWorld(Section):
    """Far domain: other look, other sound, third-person captions."""

    train_clips: Count
    test_clips: Count
    clip_seconds: Range
    captions_per_train_clip: Count
    without_audio: Fraction
    missing: Fraction  # share of the test clips that are listed but have no file


class Miniature(Section):
    """The three small corpora that the project renders itself."""

    kind: Literal["miniature"]
    rendered: Annotated[tuple[Literal["howto", "youcook2", "msrvtt"], ...], Field(min_length=1)]
    calibrating: tuple[Literal["howto"]]  # the one whose frames the random networks are calibrated on
    seed: Natural
    width: Annotated[int, Field(ge=32, multiple_of=2)]
    height: Annotated[int, Field(ge=32, multiple_of=2)]
    frames_per_second: Count
    workers: Count
    howto: HowtoWorld
    youcook2: Youcook2World
    msrvtt: MsrvttWorld


class Published(Section):
    """Corpora that were published: `multisk import` or `multisk videos` and `multisk extract` make them.

    dvc.yaml goes over the lists: with nothing to render, the pipeline begins with words and pretraining.
    """

    kind: Literal["published"]
    rendered: tuple[()]
    calibrating: tuple[()]


# --- features ----------------------------------------------------------------------------------


class FeatureNetwork(Section):
    """Where a network's weights come from."""

    weights: str
    sha256: Sha256 | None  # of the file that `weights` names; None: recorded, but not checked

    @model_validator(mode="after")
    def _checksum_is_of_a_file(self) -> Self:
        if self.sha256 is not None and self.weights in ("random", "pretrained"):
            raise ValueError(f"sha256 is checked of a file: with weights {self.weights}, set it to null")
        return self


class Appearance(FeatureNetwork):
    """Features of frames at a fixed rate (paper: ResNet-152 on ImageNet, 1 per second)."""

    model: str  # a timm name, or clip: and a folder (or a name in transformers' cache)
    weights: str  # "random" (seeded; all stages are read), "pretrained" (the model's own) or a path
    seed: Natural
    features_per_second: Positive
    short_side: Count
    crop: bool  # the central square alone, which transformers need; paper: the whole picture
    batch_size: Count


class Motion(FeatureNetwork):
    """3-D ResNeXt features of windows of frames (paper: ResNeXt-101 on Kinetics, 16 frames at 24/s)."""

    blocks: tuple[Count, Count, Count, Count]
    cardinality: Count
    width: Count  # channels of the first stage's bottleneck; 128 in ResNeXt-101
    weights: str  # "random" (seeded; all stages are read) or a path
    seed: Natural
    frames_per_second: Positive
    window: Count
    side: Count
    batch_size: Count


class Words(Section):
    """Word vectors: trained on the transcripts (skip-gram), published (word2vec, GloVe), or CLIP's tokens."""

    source: str  # "skipgram", a path, or clip: and a folder (or a name in transformers' cache)
    dimension: Count
    epochs: Count
    window: Count
    min_count: Count
    seed: Natural


class Features(Section):
    """What the extraction stage makes of the media files (log-mel settings are fixed by the paper)."""

    appearance: Appearance
    motion: Motion | None  # None: video tokens of appearance alone, as in EAO's variant with CLIP
    words: Words
    shard_megabytes: Positive
    workers: Count

    @property
    def networks(self) -> dict[str, Appearance | Motion]:
        """The networks that there are, by the stream of features that they make."""
        networks = {"appearance": self.appearance, "motion": self.motion}
        return {stream: network for stream, network in networks.items() if network}


# --- clips -------------------------------------------------------------------------------------


class PretrainClips(Section):
    """How training clips are cut from narrated videos (paper: inputs)."""

    corpus: str
    share: Annotated[float, Field(gt=0, le=1)]  # of the training videos; a larger one contains a smaller one
    misaligned: Fraction  # share of the narrated clips that get the words of another video
    clips_per_video: Count
    seconds: Positive
    video_tokens: Count
    audio_frames: Count
    words: Count
    sampling: Sampling
    shift_audio: bool  # as released: the audio window lies half a clip later than the text


class BenchmarkClips(Section):
    """How a benchmark's clips become tokens, and how many clips the full benchmark has."""

    corpus: str
    video_tokens: Count
    audio_frames: Count
    words: Count
    sampling: Sampling
    segments: Count  # cut each clip into so many pieces, embedded one by one and averaged; 1: at once
    complete_size: Count | None  # None: the number of test clips that the corpus lists

    @model_validator(mode="after")
    def _segments_divide_tokens(self) -> Self:
        if self.video_tokens % self.segments or self.audio_frames % self.segments:
            raise ValueError(f"segments ({self.segments}) must divide video_tokens and audio_frames")
        return self


class Clips(Section):
    """Token budgets of pretraining and of the two benchmarks."""

    pretrain: PretrainClips
    youcook2: BenchmarkClips
    msrvtt: BenchmarkClips


# --- model and methods -------------------------------------------------------------------------


class Davenet(Section):
    """ResDAVEnet (v2): residual stages over log-mel frames, each with stride 2."""

    layers: tuple[Count, ...]
    widths: tuple[Count, ...]
    kernel: Count

    @model_validator(mode="after")
    def _one_width_more_than_layers(self) -> Self:
        if len(self.widths) != len(self.layers) + 1:
            raise ValueError("widths needs one entry more than layers: the first is the stem's")
        return self


class Model(Section):
    """Sizes shared by all methods."""

    dimension: Count
    joint_dimension: Count
    depth: Count
    heads: Count
    mlp_ratio: Positive
    davenet: Davenet

    @model_validator(mode="after")
    def _heads_divide_dimension(self) -> Self:
        if self.dimension % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide dimension ({self.dimension})")
        return self


class PairWeights(Section):
    """Weights w_p of the contrastive pairs; a pair that the model has no embedding for is inert."""

    t_v: Weight
    t_a: Weight
    v_a: Weight
    t_va: Weight
    v_ta: Weight
    a_tv: Weight


class Contrastive(Section):
    """What brings pairs of modalities together: InfoNCE, or the loss of another method."""

    loss: Literal["nce", "mms", "max_margin", "mil_nce"] = "nce"
    temperature: Positive | None = None  # of all but max_margin
    margin: Weight | None = None  # of mms and max_margin, in units of the cosine
    intra_video: Fraction | None = None  # of max_margin: what negatives of the same video weigh together
    bag_seconds: Weight | None = None  # of mil_nce: narrations that start so close count as a clip's own, too
    alpha: Weight
    weights: PairWeights

    @model_validator(mode="after")
    def _settings_are_those_of_the_loss(self) -> Self:
        needed = {
            "nce": {"temperature"},
            "mms": {"temperature", "margin"},
            "max_margin": {"margin", "intra_video"},
            "mil_nce": {"temperature", "bag_seconds"},
        }[self.loss]
        for name in ("temperature", "margin", "intra_video", "bag_seconds"):
            given = getattr(self, name) is not None
            if name in needed and not given:
                raise ValueError(f"loss: {self.loss} needs {name}; add it")
            if given and name not in needed:
                raise ValueError(f"loss: {self.loss} has no {name}; leave it out")
        return self


class Sinkhorn(Section):
    """Multi-SK; with a single slot plain Sinkhorn-Knopp, one anchor a sample."""

    fraction: Fraction | None = None  # rho: assignments per sample, as a share of the anchors; single: none
    epsilon: Positive
    iterations: Count
    slots: Literal["constant", "ramp", "single"]

    @model_validator(mode="after")
    def _fraction_fits_slots(self) -> Self:
        if self.slots == "single" and self.fraction is not None:
            raise ValueError("slots: single assigns one anchor a sample; leave fraction out or write null")
        if self.slots != "single" and self.fraction is None:
            raise ValueError(f"slots: {self.slots} needs fraction (paper: 0.5)")
        return self


class Anchors(Section):
    """Vectors that describe each modality's structure."""

    count: Annotated[int, Field(ge=2)]
    learned: bool = True  # false: they stay the random vectors that they begin as


class ModalityWeights(Section):
    """One weight per modality."""

    t: Weight
    v: Weight
    a: Weight


class TermWeights(Section):
    """Weights of the 18 SSPC terms, by anchor modality, then by data modality."""

    t: ModalityWeights
    v: ModalityWeights
    a: ModalityWeights


class Sspc(Section):
    """Semantic-Structure-Preserving Consistency."""

    anchors: Anchors
    queue: Natural  # features of earlier batches; 0: Multi-SK sees the batch alone
    temperature: Positive
    beta: Weight
    input_to_joint: TermWeights
    joint_to_input: TermWeights
    sinkhorn: Sinkhorn

    @model_validator(mode="after")
    def _some_but_not_all_anchors_are_assigned(self) -> Self:
        count, fraction = self.anchors.count, self.sinkhorn.fraction
        if fraction is not None and not 0 < int(count * fraction) < count:
            raise ValueError(
                f"sinkhorn.fraction ({fraction}) of anchors.count ({count}) makes {int(count * fraction)} "
                f"assignments per sample; 1 to {count - 1} are possible"
            )
        return self


class Clustering(Section):
    """Joint clustering of the modalities' mean embedding by k-means (MCN)."""

    weight: Weight
    centroids: Annotated[int, Field(ge=2)]
    queue: Count  # mean embeddings of earlier batches that k-means sees beside the batch
    iterations: Count  # of k-means at each training step, from the centroids of the step before
    temperature: Positive

    @model_validator(mode="after")
    def _queue_holds_centroids(self) -> Self:
        if self.queue < self.centroids:
            raise ValueError(
                f"queue ({self.queue}) must hold as many samples as centroids ({self.centroids})"
            )
        return self


class Reconstruction(Section):
    """Each modality's input feature from its joint embedding (MCN)."""

    weight: Weight


class Architecture(Section):
    """What a method changes of its model; what is left out is as published."""

    modalities: Literal["tva", "tv"] = "tva"  # tv: text and video alone, no audio network
    fused: bool = True  # eao: embed pairs of modalities, too
    shared_projection: bool = False  # eao: one projection into the joint space for all modalities
    cls_token: bool = False  # a learned token sums the sequence up, in place of the mean
    # Learn a position for each token of a pretraining clip. Longer clips are brought down to as many tokens:
    # to the first ones, or by pooling over time.
    positions: Literal["clip", "max_pool", "avg_pool"] | None = None
    depth: Natural | None = None  # in place of model.depth; 0: no transformers
    width: Positive = 1.0  # factor on model.dimension

    @property
    def changed(self) -> list[str]:
        """The options that are not as published."""
        return [
            name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default
        ]


class Method(Section):
    """A comparison's entry: which model, which losses; losses that are left out are not there."""

    model: Literal["per_modality", "eao", "avlnet"]
    architecture: Architecture = Architecture()
    contrastive: Contrastive
    sspc: Sspc | None = None
    clustering: Clustering | None = None
    reconstruction: Reconstruction | None = None

    @model_validator(mode="after")
    def _losses_fit_model(self) -> Self:
        if self.sspc and self.model != "per_modality":
            raise ValueError(
                f"sspc needs a model with anchors, {self.model} has none; set model: per_modality"
            )
        if self.reconstruction and self.model == "avlnet":
            raise ValueError(
                "reconstruction needs a model with input features, avlnet has none; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _architecture_fits_model(self) -> Self:
        possible = {
            "per_modality": {"modalities", "cls_token", "positions", "depth", "width"},
            "eao": set(Architecture.model_fields),
            "avlnet": {"modalities"},
        }[self.model]
        for name in self.architecture.changed:
            if name not in possible:
                raise ValueError(f"architecture.{name}: model {self.model} has no such choice; leave it out")
        fused = self.model == "eao" and self.architecture.fused
        if fused and self.architecture.cls_token and not self.architecture.shared_projection:
            raise ValueError(
                "architecture.cls_token: the token of a pair belongs to no modality; "
                "set shared_projection: true or fused: false"
            )
        return self


# --- training and evaluation -------------------------------------------------------------------


class Training(Section):
    """One run of the training loop."""

    PACE: ClassVar[frozenset[str]] = frozenset({"checkpoint_steps", "workers"})  # no weight depends on them

    epochs: Count
    batch_size: Count  # videos in pretraining, clips in fine-tuning; over all processes
    learning_rate: Positive
    decay: Positive  # factor on the learning rate after each epoch
    ema: Fraction
    mixed_precision: Literal["no", "fp16", "bf16"]
    freeze_batch_norm: bool
    checkpoint_steps: Count
    workers: Natural


class Pretrain(Training):
    """Pretraining."""

    seeds: Annotated[tuple[Natural, ...], Field(min_length=1)]


class Finetune(Section):
    """Fine-tuning, per benchmark; every pretraining seed is fine-tuned."""

    pair_weight: Weight  # as released: all pairs weigh the same
    youcook2: Training
    msrvtt: Training


class Segments(Section):
    """Into how many pieces the strategy `clips` cuts a clip."""

    youcook2: Count
    msrvtt: Count


Strategy = Literal["at-once", "clips", "nearest", "max-pool", "long-video"]


class Evaluate(Section):
    """Retrieval evaluation."""

    weights: Literal["raw", "ema"]  # as released: the raw weights
    batch_size: Count
    clusters: Count  # of k-means, beside methods that have no anchors to take the number from
    strategies: tuple[Strategy, ...]  # measured beside the settings of `clips`
    segments: Segments


# --- sweeps ------------------------------------------------------------------------------------


class Between(Section):
    """Numbers of a search: whole ones where both borders are whole."""

    low: int | float
    high: int | float
    log: bool

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low must be less than high")
        if self.log and self.low <= 0:
            raise ValueError("low must be more than 0 where log is true")
        return self


def _kind_of_values(values: Any) -> str:
    return "choices" if isinstance(values, list | tuple) else "between"


Choices = Annotated[tuple[bool | int | float | str, ...], Field(min_length=1)]
Values = Annotated[
    Annotated[Choices, Tag("choices")] | Annotated[Between, Tag("between")], Discriminator(_kind_of_values)
]
Objective = Literal["close", "far", "mean"]


class Study(Section):
    """A sweep: what is varied, and what is maximised on the validation part.

    The objectives are R@10 of the headline direction (text -> video + audio) in the close domain (youcook2),
    in the far one (msrvtt), and their mean.
    """

    methods: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]  # two: they are varied, too
    sampler: Literal["grid", "tpe"]
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]
    pruner: Literal["median", "halving"] | None  # stops hopeless trials; for one objective alone
    epochs: Count  # with all videos; a trial with a share of them takes as many steps
    seeds: Annotated[tuple[Natural, ...], Field(min_length=1)]  # of a trial, whose value is their mean
    trials: Count | None  # finished ones in all; None: each point of the grid once
    space: Annotated[dict[str, Values], Field(min_length=1)]  # by dotted key, or a name of `names`

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        lengths = [0 if isinstance(values, Between) else len(values) for values in self.space.values()]
        if self.sampler == "grid" and not all(lengths):
            raise ValueError("a grid needs lists of choices in its space")
        if self.sampler == "grid" and len(self.methods) * prod(lengths) < 2:
            raise ValueError("a grid needs at least two points")
        if self.sampler == "tpe" and self.trials is None:
            raise ValueError("trials is needed, for only a grid has an end")
        if self.pruner and len(self.objectives) > 1:
            raise ValueError("a pruner needs a single objective; write pruner: null")
        if len(set(self.objectives)) < len(self.objectives) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("objectives and seeds must differ from each other")
        return self


class Sweep(Section):
    """Hyperparameter studies. `studies` are part of the pipeline; `others` are run by `multisk sweep`."""

    validation: Annotated[float, Field(gt=0, le=1)]  # share of the benchmarks' training videos to select with
    keep_weights: bool  # of finished trials
    names: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]]  # dotted keys that get the same value
    studies: dict[str, Study]
    others: dict[str, Study]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        twice = set(self.studies) & set(self.others)
        if twice:
            raise ValueError(f"others.{min(twice)} stands among studies, too; remove one")
        return self


class Optuna(Section):
    """Where studies are kept, how trials are chosen and watched; no finished trial depends on it."""

    storage: str | None  # URL of a database; None: sqlite in tracking/, for one process
    heartbeat_seconds: Count
    grace_seconds: Count  # a trial whose last heartbeat is older was killed; it is started again
    seed: Natural
    startup_trials: Natural  # that TPE draws at random, and that the median pruner lets finish
    importance: Literal["ped_anova", "fanova", "mean_decrease_impurity"]

    @model_validator(mode="after")
    def _heartbeats_fit_grace(self) -> Self:
        if self.grace_seconds <= self.heartbeat_seconds:
            raise ValueError("grace_seconds must be more than heartbeat_seconds")
        return self


class Tracking(Section):
    """The experiment tracker that mirrors the files."""

    experiment: str
    uri: str | None  # None: sqlite in tracking/ beside params.yaml
    log_weights_megabytes: Weight  # larger weights are registered by path and sha256 alone


class Report(Section):
    """The generated page."""

    title: str
    gallery_queries: Count


class Params(Section):
    """params.yaml as a whole."""

    profile: str
    processes: Count  # seeds that are trained at once on a CPU, each with its share of the cores
    corpora: Annotated[Miniature | Published, Field(discriminator="kind")]
    features: Features
    clips: Clips
    model: Model
    methods: Annotated[dict[str, Method], Field(min_length=1)]
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    sweep: Sweep
    optuna: Optuna
    tracking: Tracking
    report: Report

    def benchmark(self, name: Benchmark) -> BenchmarkClips:
        """Return the clip settings of a benchmark."""
        return getattr(self.clips, name)

    def method(self, name: str) -> Method:
        """Return a method's entry; raise InputError for a name that params.yaml lacks."""
        try:
            return self.methods[name]
        except KeyError:
            known = ", ".join(self.methods)
            raise InputError(f"params.yaml: methods.{name}: no such method; known: {known}") from None


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check a params file.

    Raises InputError with one line that names the file, the key and what to change.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content: Any = YAML(typ="safe", pure=True).load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; copy one from profiles/ (multisk use NAME)") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected sections with settings, found {type(content).__name__}")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(_one_line(path, error)) from None


def _one_line(path: Path, error: ValidationError) -> str:
    # A misspelt key is also a missing one; the misspelling is the news.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    key = ".".join(str(part) for part in _without_kind(first["loc"]))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"{path}: {key}: unknown key{_suggestion(first['loc'])}; remove or rename it{more}"
    if first["type"] == "missing":
        return f"{path}: {key}: missing; add it (profiles/miniature.yaml shows a value){more}"
    said = first["msg"].removeprefix("Value error, ")
    found = "" if isinstance(first["input"], dict) else f", found {first['input']!r}"
    return f"{path}: {key}: {said}{found}{more}"


def _without_kind(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    # The checker names which kind of corpora it took the section for; params.yaml has no such level.
    return (location[0], *location[2:]) if location[0] == "corpora" and len(location) > 1 else location


def _suggestion(location: tuple[int | str, ...]) -> str:
    from difflib import get_close_matches

    section: Any = Params
    kinds = {"miniature": Miniature, "published": Published}
    parts = iter(location[:-1])
    for part in parts:
        if location[0] == "corpora" and part in kinds:
            section = kinds[str(part)]
            continue
        field = section.model_fields.get(part)
        section = _section_in(field.annotation) if field else Section
        if field and get_origin(field.annotation) is dict:
            next(parts, None)  # the entry's name
    close = get_close_matches(str(location[-1]), section.model_fields, n=1)
    return f", did you mean {close[0]}?" if close else ""


def _section_in(annotation: Any) -> type[Section]:
    """Return the section that `Section | None` or `dict[str, Section]` speaks of; any other has no keys."""
    candidates = (annotation, *get_args(annotation))
    return next((x for x in candidates if isinstance(x, type) and issubclass(x, Section)), Section)
