"""``realis methods``: what each upscaling method is good and bad at, where its weights are, and which of them a file is."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from realis.core.errors import InputError, file_error, reason
from realis.core.files import sha256
from realis.methods.registry import DEFAULT, METHODS, find_method
from realis.upscaler import MethodCard, WeightsFile


@dataclass(frozen=True)
class MethodsConfig:
    """List the upscaling methods."""

    verify: str = ""  # a file of weights: say which published one it is, by its sha256
    markdown: bool = False  # print docs/methods.md


def methods(config: MethodsConfig) -> None:
    """Print the list, or what file ``--verify`` names.

    Raises:
        InputError: the file cannot be read, or is none that is known.
    """
    if config.verify:
        print(identify(Path(config.verify)))
    else:
        print("\n".join(markdown() if config.markdown else plain()))


def cards() -> dict[str, MethodCard]:
    """Return the card of every method."""
    return {name: find_method(name).card for name in METHODS}


def identify(file: Path) -> str:
    """Return which published file of weights a file is.

    Raises:
        InputError: it cannot be read, or is none that is known.
    """
    try:
        digest = sha256(file)
    except OSError as error:
        raise file_error(f"--verify {file}: cannot be read as a file ({reason(error)})", error) from error
    known = {weights.sha256: (name, weights) for name, card in cards().items() for weights in card.weights}
    known.pop("", None)
    if digest not in known:
        raise InputError(f"--verify {file}: got sha256 {digest}, wanted one of the {len(known)} that realis methods lists; a file "
                         "that was converted or saved anew has another, and may be used all the same")  # fmt: skip
    name, weights = known[digest]
    return f"{file} is {weights.name}, for --method {name}: {weights.trained_for}; licence {weights.licence}"


def facts(name: str, card: MethodCard) -> dict[str, str]:
    """Return what is said of a method, by heading."""
    return {
        "good at": card.good_at,
        "bad at": card.bad_at,
        "scale": card.scale,
        "memory": card.memory,
        "use": card.use + ("; the default" if name == DEFAULT else ""),
    }


def plain() -> Iterator[str]:
    """Yield the lines of the list for a terminal."""
    for name, card in cards().items():
        yield f"{name}: {card.summary}"
        yield from (f"  {heading + ':':9} {text}" for heading, text in facts(name, card).items())
        for weights in card.weights:
            yield f"  {'weights:':9} {describe(weights)}"
        yield ""
    yield "realis upscale --method NAME --help explains the flags of one; realis methods --verify FILE, what a file is."


def describe(weights: WeightsFile) -> str:
    """Describe a file of weights in one line."""
    digest = f"sha256 {weights.sha256}" if weights.sha256 else "sha256 not known"
    return f"{weights.name}: {weights.trained_for}; {weights.origin}; licence {weights.licence}; {digest}"


def markdown() -> Iterator[str]:
    """Yield the lines of docs/methods.md."""
    yield "# Methods"
    yield ""
    yield "Made by `realis methods --markdown` from what each method says of itself. Weights are downloaded only if they are asked"
    yield "for, and only small models are carried: realis-tiny, sd-x4-tiny, stablevsr-tiny, dgaf-vsr-tiny. `realis methods --verify FILE` says which of these a file is."
    for name, card in cards().items():
        yield from ("", f"## {name}", "", card.summary, "")
        yield from (f"- **{heading}**: {text}" for heading, text in facts(name, card).items())
        if card.weights:
            yield from ("", "| weights | trained for | from | licence | sha256 |", "| --- | --- | --- | --- | --- |")
            for one in card.weights:
                digest = f"`{one.sha256}`" if one.sha256 else "not known: the file was not at hand"
                yield f"| `{one.name}` | {one.trained_for} | {one.origin} | {one.licence} | {digest} |"
