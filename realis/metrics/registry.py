"""The metrics by name, each in its exact variants; what computes one is imported when it is used."""

from realis.metrics.base import Metric

# 1. Pixels and their structure, against the truth
FULL_REFERENCE: tuple[Metric, ...] = ()

# 2. Networks, against the truth
PERCEPTUAL: tuple[Metric, ...] = ()

# 3. Without a truth
NO_REFERENCE: tuple[Metric, ...] = ()

# 4. Along time
TEMPORAL: tuple[Metric, ...] = ()

METRICS = {metric.name: metric for metric in (*FULL_REFERENCE, *PERCEPTUAL, *NO_REFERENCE, *TEMPORAL)}
