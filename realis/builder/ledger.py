"""The ledger of a stage: a line of JSON for every clip that it has finished, from which a stopped stage is resumed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from realis.builder.clip import Clip, Dropped, Outcome
from realis.core.errors import InputError
from realis.core.files import whole_file
from realis.core.log import logger
from realis.core.records import append_row, build_record, load_json, to_line, whole_lines

# Marks settings on which costly measurements depend; changing others does not repeat these: Annotated[int, MEASURED]
MEASURED = "what is measured, at length, depends on it"


class Ledger:
    """The outcomes of one stage.

    A line is appended, and synced, when an input is finished; a line that was torn by a crash does not count. Outcomes
    are kept under a digest of the input, so that those of an input that has changed do not count; nor do those whose
    file has been removed or has changed its size.

    Args:
        build: folder of the build.
        stage: name of the stage. The file ``work/STAGE.jsonl`` is made when the first input is finished.

    Raises:
        InputError: the file is damaged.
    """

    def __init__(self, build: Path, stage: str) -> None:
        self.build, self.file = build, build / "work" / f"{stage}.jsonl"
        self.outcomes: dict[str, list[Outcome]] = {}
        for line in whole_lines(self.file.read_bytes() if self.file.exists() else b""):
            self._read(line)

    def _read(self, line: str) -> None:
        try:
            row = load_json(line)
            kept = [Clip.from_row(clip) for clip in row["kept"]]
            dropped = [build_record(Dropped, one) for one in row["dropped"]]
            gone = [clip.path(self.build) for clip in kept if not clip.is_there(self.build)]
            for file in filter(Path.exists, gone):
                logger.warning("%s: no longer as long as it was made; to be made again", file)
            if not gone:
                self.outcomes[row["of"]] = [*kept, *dropped]
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise InputError(f"{self.file}: is damaged ({error}); delete it, and the stage is done anew") from error

    def keep_only(self, keys: list[str]) -> None:
        """Forget all inputs but ``keys``. To be called before files are made anew: a new file must not be taken for the one
        that an old line describes."""
        self.outcomes = {key: self.outcomes[key] for key in keys if key in self.outcomes}
        if self.file.exists():
            self._write(list(self.outcomes))

    def add(self, key: str, outcomes: Iterable[Outcome]) -> None:
        """Append the outcomes of the input whose digest is ``key``."""
        self.outcomes[key] = list(outcomes)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("ab+", buffering=0) as file:
            append_row(file, self._row(key))

    def write_in_order(self, keys: list[str]) -> None:
        """Write the lines of ``keys`` in this order, and no others, so that the file does not depend on the order in which
        inputs were finished."""
        if keys:
            self._write(keys)

    def replace(self, outcomes: dict[str, list[Outcome]]) -> None:
        """Replace all outcomes by ``outcomes``."""
        self.outcomes = outcomes
        self._write(list(outcomes))

    def _write(self, keys: list[str]) -> None:
        lines = b"".join(to_line(self._row(key)) for key in keys)
        if not self.file.exists() or self.file.read_bytes() != lines:
            with whole_file(self.file) as temporary:
                temporary.write_bytes(lines)

    def _row(self, key: str) -> dict[str, Any]:
        kept = [one.to_row() for one in self.outcomes[key] if isinstance(one, Clip)]
        dropped = [asdict(one) for one in self.outcomes[key] if isinstance(one, Dropped)]
        return {"of": key, "kept": kept, "dropped": dropped}

    def kept(self, keys: list[str]) -> list[Clip]:
        """Return the clips that were kept of the inputs ``keys``, in their order."""
        return [one for key in keys for one in self.outcomes[key] if isinstance(one, Clip)]

    def reasons(self, keys: list[str]) -> Counter[str]:
        """Count how many of the inputs ``keys`` were dropped, by reason."""
        return Counter(one.reason for key in keys for one in self.outcomes[key] if isinstance(one, Dropped))
