"""Build RealisVideo-4K out of footage: a file a stage (``probe.py`` to ``publish.py``), run in order by ``pipeline.py``.

The order of the stages is :data:`realis.builder.config.STAGES`.
"""

from realis import torchvision_hook

torchvision_hook.install()
