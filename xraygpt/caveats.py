"""The caveats of a text: words behind its first line, sentences below it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from xraygpt_core.scope import Figure, Scope
from xraygpt_core.states import DOUBTS, Flag

# Each in words that go on after "the film is" or "the text is".
WORDS = {
    Flag.NOT_VERIFIED_CHEST: "not verified as a chest",
    Flag.OUT_OF_SCOPE: "outside the model's scope",
    Flag.CUT_OFF: "cut off",
    Flag.CONSISTENCY: "contradicts itself",
    Flag.HEADER_CONTRADICTS_PIXELS: "header contradicts pixels",
    Flag.IMPLAUSIBLE_PIXELS: "implausible pixels",
    Flag.CHEST_UNCERTAIN: "perhaps not a chest",
    Flag.DERIVED_IMAGE: "derived image",
    Flag.FOR_PROCESSING: "raw image",
    Flag.ORIENTATION_UNCERTAIN: "orientation uncertain",
}
_CUT_OFF = "Cut off: the model reached its longest answer before its text had ended, so findings may be missing."


def behind(flags: Collection[str]) -> str:
    """The doubts about a text, in words behind its first line; empty if there are none."""
    words = [WORDS.get(Flag(flag), flag.replace("_", " ")) for flag in flags if flag in DOUBTS]
    return f" ({'; '.join(words)})" if words else ""


def beyond(scope: Mapping[str, Any] | None) -> str:
    """The sentence for a text whose film lies outside of its model's scope."""
    if scope is None:
        return "Outside the model's scope."
    card = f" Model card: {scope['card']}." if scope.get("card") else ""
    return f"Outside the model's scope: {scope['says']}{card}"


def inside(text: Mapping[str, Any]) -> str | None:
    """The scope of the model and its measurements, for a text within the scope; None for a text outside."""
    scope = text.get("scope")
    if scope is None or Flag.OUT_OF_SCOPE in (text.get("flags") or ()):
        return None
    figures = map(_figure, scope.get("validated_on") or ())
    return "; ".join([f"{scope['made_for'] or 'nothing declared'}: {scope['says']}", *figures])


def _figure(one: Mapping[str, Any]) -> str:
    low, high = one["interval"]
    beside = {"the texts beside another film": one.get("swapped"), "one text for all": one.get("most_frequent")}
    controls = "".join(f"; {name} {value:.3g}" for name, value in beside.items() if value is not None)
    return f"{one['name']}: {one['metric']} {one['value']:.3g} ({low:.3g} to {high:.3g}, n = {one['n']}{controls})"


def on_films(scope: Scope) -> str | None:
    """One sentence on how often the model knows an abnormal film; None where its bundle does not declare that."""
    if (declared := scope.abnormal()) is None:
        return None
    sensitivity, specificity = declared
    return (
        f"On {sensitivity.n + specificity.n} {sensitivity.name} it called {_share(sensitivity)} abnormal ones abnormal "
        f"(sensitivity {_range(sensitivity)}) and {_share(specificity)} normal ones normal "
        f"(specificity {_range(specificity)}); not for clinical use."
    )


def _share(one: Figure) -> str:
    return f"{round(one.value * one.n)} of {one.n}"


def _range(one: Figure) -> str:
    value, low, high = (f"{number:.2f}".removeprefix("0") for number in (one.value, *one.interval))
    return f"{value}, {low}–{high}"


def quoted(consistency: Sequence[Mapping[str, str]]) -> list[str]:
    """Each contradiction as a sentence that quotes both statements."""
    return [f"Contradiction ({one['kind']}): “{one['one']}” – “{one['other']}”" for one in consistency]


def below(text: Mapping[str, Any]) -> list[str]:
    """All sentences that belong below a text: a summary or an answer, as the gateway gives it."""
    flags = text.get("flags") or ()
    outside = [beyond(text.get("scope"))] if Flag.OUT_OF_SCOPE in flags else []
    return outside + ([_CUT_OFF] if Flag.CUT_OFF in flags else []) + quoted(text.get("consistency") or ())
