"""The settings of the experiment tracker."""

from multisk.settings import Section, Weight


class Tracking(Section):
    """The experiment tracker that mirrors the files."""

    experiment: str
    uri: str | None  # None: sqlite in tracking/ beside params.yaml
    log_weights_megabytes: Weight  # larger weights are registered by path and sha256 alone
