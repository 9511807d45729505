"""Which fields of its configuration a command reads, found out by running it: a field that nothing reads is dead."""

import dataclasses
import sys
import typing
from contextlib import contextmanager

import pytest

# Whoever copies, prints, parses or writes a whole configuration does not use its fields
WHOLE = ("/dataclasses.py", "/copy.py", "/typing.py", "<string>", "/realis/core/config.py", "/tyro/")


def type_of(config, field, options=None):
    """The type of a field; of the options of a method, ``options``."""
    kind = typing.get_type_hints(config)[field.name]
    return options if isinstance(kind, typing.TypeVar) else kind


def fields_of(config, options=None, seen=()):
    """(class, name) of each field of a configuration, and of those that are nested in it."""
    for field in dataclasses.fields(config):
        kind = type_of(config, field, options)
        yield config, field.name
        if dataclasses.is_dataclass(kind) and kind not in seen:
            yield from fields_of(kind, options, (*seen, kind))


@contextmanager
def unread_fields(*configs, options=None):
    """Yield a set of the fields ``"Class.name"`` of configurations; each leaves it when this process reads it.

    Reads in ``__post_init__`` do not count: a value that is checked and then not used is dead too.
    """
    fields = [field for config in configs for field in fields_of(config, options)]
    unread, classes = {f"{cls.__name__}.{name}" for cls, name in fields}, {cls for cls, _ in fields}

    def noting(cls):
        plain, names = cls.__getattribute__, {field.name for field in dataclasses.fields(cls)}

        def look(self, name):
            if name in names:
                code = sys._getframe(1).f_code
                if code.co_name != "__post_init__" and not any(part in code.co_filename for part in WHOLE):
                    unread.discard(f"{cls.__name__}.{name}")
            return plain(self, name)

        return look

    with pytest.MonkeyPatch.context() as patch:
        for cls in classes:
            patch.setattr(cls, "__getattribute__", noting(cls), raising=False)
        yield unread
