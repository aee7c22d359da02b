"""Formulas as people write them, turned into Python's notation, meaning unchanged."""

import re
import unicodedata
from dataclasses import dataclass, field

from potluck.errors import ToolError

MAX_FORMULA_CHARS = 1_000

# Between the brackets of these a comma separates values; elsewhere it separates thousands.
MANY_VALUES = frozenset(
    {"atan2", "comb", "gcd", "hypot", "lcm", "log", "max", "mean", "median", "min"}
    | {"perm", "pow", "root", "round", "sum"}
)
CONSTANTS = frozenset({"pi", "e", "tau"})

_SIGNS = str.maketrans(
    {
        "\N{MULTIPLICATION SIGN}": "*",
        "\N{MIDDLE DOT}": "*",
        "\N{DOT OPERATOR}": "*",
        "\N{ASTERISK OPERATOR}": "*",
        "\N{DIVISION SIGN}": "/",
        "\N{DIVISION SLASH}": "/",
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
        "π": "pi",
        "τ": "tau",
        "≤": "<=",
        "≥": ">=",
        "≠": "!=",
        "{": "(",
        "}": ")",
        "$": None,
        "€": None,
        "£": None,
        "¥": None,
    }
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|[a-z]+(?!\())?")
_TIMES = re.compile(r"(?<=[\d)])(\s*)[xX](\s*)(?=[\d(.])")
_HEXADECIMAL = re.compile(r"(?<![\w.])0[xXbBoO][0-9a-fA-F]")

_PLAIN = r"(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_GROUPED = r"\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?"
_NUMBER = re.compile(_PLAIN)
_NUMBER_GROUPED = re.compile(f"{_GROUPED}|{_PLAIN}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z_]*\d*")
_OPERATOR = re.compile(r"\*\*|//|<=|>=|==|!=|[-+*/%^()\[\],<>!°]")
_SIGN_OF_OPERAND = re.compile(r"\s+[+-][\d.(A-Za-z]")


def to_python(text: str) -> str:
    """The formula in Python's notation; `percent(x)` and `radians(x)` stand for % and °.

    Raises ToolError that says what cannot be read.
    """
    if _HEXADECIMAL.search(text):
        raise ToolError("Only decimal numbers can be calculated; 0x, 0b and 0o are not known.")
    formula = _plain_signs(text)
    if not formula:
        raise ToolError("The expression is empty. Write one like (2 + 3) * sqrt(4).")
    return _Reader(formula).read()


def _plain_signs(text: str) -> str:
    marked = _SUPERSCRIPT.sub(lambda m: f"**({m[0].translate(_SUPERSCRIPTS)})", text)
    plain = unicodedata.normalize("NFKC", marked).translate(_SIGNS)
    rooted = _ROOT.sub(lambda m: f"sqrt({m[1]})" if m[1] else "sqrt", plain)
    return _TIMES.sub(r"\1*\2", rooted).strip().rstrip("=?").rstrip()


@dataclass(slots=True)
class _Reader:
    """Reads a formula from left to right, remembering where each operand began."""

    text: str
    at: int = 0
    out: list[str] = field(default_factory=list)
    # For each open bracket: where in `out` its operand begins, and whether commas separate values.
    open: list[tuple[int, bool]] = field(default_factory=list)
    operand_start: int | None = None

    def read(self) -> str:
        while self.at < len(self.text):
            if self.text[self.at].isspace():
                self.at += 1
            else:
                self._take()
        return " ".join(self.out)

    def _take(self) -> None:
        number = (_NUMBER if self._commas_separate() else _NUMBER_GROUPED).match(self.text, self.at)
        if number:
            self._number(number)
        elif name := _NAME.match(self.text, self.at):
            self._name(name)
        elif sign := _OPERATOR.match(self.text, self.at):
            self.at = sign.end()
            self._operator(sign[0])
        else:
            raise ToolError(
                f"{self.text[self.at]!r} cannot be read as part of an expression. "
                "Use numbers, + - * / ^ %, brackets, and functions such as sqrt(2)."
            )

    def _number(self, found: re.Match[str]) -> None:
        if self.operand_start is not None:
            self._refuse_unless_after_bracket(found[0])
        self.at = found.end()
        digits = found[0].replace(",", "").replace("_", "")
        shown = re.sub(r"^0+(?=\d)", "", digits)
        if self.out and self.out[-1].isidentifier():  # sqrt 16
            start = len(self.out) - 1
            self.out.append(f"({shown})")
        else:
            start = len(self.out)
            self.out.append(shown)
        self.operand_start = start

    def _refuse_unless_after_bracket(self, number: str) -> None:
        if self.out[-1] != ")":
            raise ToolError(f"Between {self.out[-1]} and {number} an operator is missing.")
        self.out.append("*")

    def _name(self, found: re.Match[str]) -> None:
        self.at = found.end()
        name = found[0].lower()
        if name in {"mod", "of"}:
            self._infix("%" if name == "mod" else "*")
            return
        if self.operand_start is not None:
            self.out.append("*")
        self.operand_start = len(self.out) if name in CONSTANTS else None
        self.out.append(name)

    def _operator(self, sign: str) -> None:
        match sign:
            case "(" | "[":
                self._open_bracket()
            case ")" | "]":
                self._close_bracket()
            case ",":
                self._comma()
            case "!":
                self._after_operand("factorial", "!")
            case "°":
                self._after_operand("radians", "°")
            case "%" if self._is_percent():
                self._after_operand("percent", "%")
            case "^":
                self._infix("**")
            case _:
                self._infix(sign)

    def _infix(self, sign: str) -> None:
        self.out.append(sign)
        self.operand_start = None

    def _open_bracket(self) -> None:
        function = self.out[-1] if self.out and self.out[-1].isidentifier() else None
        if self.operand_start is not None:  # 2(3 + 4), pi(3)
            self.out.append("*")
            function = None
        inherits = bool(self.open and self.out[-1:] == ["("] and self.open[-1][1])
        start = len(self.out) - (1 if function else 0)
        self.open.append((start, function in MANY_VALUES or inherits))
        self.out.append("(")
        self.operand_start = None

    def _close_bracket(self) -> None:
        if not self.open:
            raise ToolError("A bracket is closed that was never opened.")
        self.operand_start, _ = self.open.pop()
        self.out.append(")")

    def _comma(self) -> None:
        if not self._commas_separate():
            raise ToolError(
                "A comma may only separate thousands (1,000) or the values of a function such as "
                "max(1, 2). Write decimals with a point: 3.5."
            )
        self._infix(",")

    def _after_operand(self, function: str, sign: str) -> None:
        if self.operand_start is None:
            raise ToolError(f"Before {sign} a number is missing.")
        self.out[self.operand_start : self.operand_start] = [function, "("]
        self.out.append(")")

    def _is_percent(self) -> bool:
        """Percent unless an operand follows; 7 % -3 is a remainder, 50% - 3 is not."""
        rest = self.text[self.at :]
        if _SIGN_OF_OPERAND.match(rest):
            return not self.text[self.at - 2 : self.at - 1].isspace()
        ahead = rest.lstrip()
        return not ahead or not (ahead[0].isalnum() or ahead[0] in "(.") or ahead.startswith("of ")

    def _commas_separate(self) -> bool:
        return bool(self.open and self.open[-1][1])
