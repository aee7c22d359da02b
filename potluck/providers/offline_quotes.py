"""Quotations in a request: taken out before it is read, so that no word in them is an order."""

import re
from dataclasses import dataclass

# Private letters stand for quotations and for the result of the step before.
RESULT = "\ue000"
_FIRST = 0xE100
_MOST = 256
QUOTE = f"[{chr(_FIRST)}-{chr(_FIRST + _MOST - 1)}]"

_PRIVATE = re.compile("[\ue000-\uf8ff]")
# Long runs of blanks mean nothing, and cost patterns dear.
_BLANKS = re.compile(r"[^\S\n]{16,}")
_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n){8,}")
_QUOTATION = re.compile(
    r"```[^\n`]*\n(?P<fence>.*?)\n?```"
    r'|"(?P<double>(?:[^"\\]|\\.)*)"'
    r"|“(?P<curly>[^”]{0,2000})”|„(?P<low>[^“”]{0,2000})[“”]|«(?P<french>[^»]{0,2000})»"
    r"|「(?P<corner>[^」]{0,2000})」|『(?P<white>[^』]{0,2000})』"
    r"|`(?P<code>[^`\n]+)`"
    r"|(?<!\w)['\N{LEFT SINGLE QUOTATION MARK}](?P<single>[^\n]{1,500}?)"
    r"['\N{RIGHT SINGLE QUOTATION MARK}](?!\w)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Quoted:
    """A request with letters in the place of its quotations, and the quotations."""

    text: str
    quotations: tuple[str, ...]
    originals: tuple[str, ...] = ()

    @classmethod
    def read(cls, request: str) -> "Quoted":
        """Take the quotations out of a request."""
        quotations: list[str] = []
        originals: list[str] = []

        def take(found: re.Match[str]) -> str:
            if len(quotations) >= _MOST:
                return found[0]
            inner = next(text for text in found.groups() if text is not None)
            if found.lastgroup == "double":
                inner = inner.replace('\\"', '"')
            quotations.append(inner)
            originals.append(found[0])
            return chr(_FIRST + len(quotations) - 1)

        text = _QUOTATION.sub(take, _PRIVATE.sub("", request))
        text = _BLANK_LINES.sub("\n\n", _BLANKS.sub(" ", text))
        return cls(text=text, quotations=tuple(quotations), originals=tuple(originals))

    def at(self, letter: str) -> str:
        """The quotation that a letter stands for."""
        return self.quotations[ord(letter) - _FIRST]

    def fill(self, text: str) -> str:
        """Text with its quotations put back, without their marks."""
        return re.sub(QUOTE, lambda found: self.at(found[0]), text)

    def taken(self, span: tuple[int, int], quotation: str) -> "Quoted":
        """The same with one more quotation: what stands at `span` of the text."""
        if len(self.quotations) >= _MOST:
            return self
        letter = chr(_FIRST + len(self.quotations))
        return Quoted(
            text=self.text[: span[0]] + letter + self.text[span[1] :],
            quotations=(*self.quotations, quotation),
            originals=(*self.originals, quotation),
        )

    def restore(self, text: str) -> str:
        """Text with its quotations put back as they were written."""
        return re.sub(QUOTE, lambda found: self.originals[ord(found[0]) - _FIRST], text)


def quote(text: str) -> str:
    """A text in marks, as `Quoted` reads it back."""
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"'
