"""Arithmetic as people mean it: exact on whole numbers, and bounded in time and memory."""

import ast
import decimal
import math
import operator
import statistics
from collections.abc import Callable

from potluck.errors import ToolError

Number = int | float

MAX_BITS = 12_000  # some 3,600 digits
MAX_FACTORIAL = 1_000
TOO_LARGE = f"The result is too large: more than {MAX_BITS} bits, or 1e308 with a fraction."


def real(value: object) -> Number:
    """The value if it is a number of bearable size. Raises ToolError if not."""
    if isinstance(value, complex):
        raise ToolError("The result is not a real number: an even root of a negative one.")
    if not isinstance(value, int | float):
        raise ToolError("The expression does not give a number.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ToolError(TOO_LARGE)
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ToolError(TOO_LARGE)
    return value


def _divide(left: Number, right: Number) -> Number:
    """Division that keeps whole numbers whole, so that large ones stay exact."""
    if isinstance(left, int) and isinstance(right, int) and right and left % right == 0:
        return left // right
    return left / right


def _multiply(left: Number, right: Number) -> Number:
    whole = isinstance(left, int) and isinstance(right, int)
    if whole and int(left).bit_length() + int(right).bit_length() > 2 * MAX_BITS:
        raise ToolError(TOO_LARGE)
    return left * right


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int):
        if abs(base) > 1 and math.log2(abs(base)) * abs(exponent) > MAX_BITS:
            raise ToolError(TOO_LARGE)
        if exponent < 0:
            return real(float(base) ** exponent)
    return real(base**exponent)


def _factorial(n: Number) -> int:
    if n != int(n) or not 0 <= n <= MAX_FACTORIAL:
        raise ToolError(f"factorial takes whole numbers from 0 to {MAX_FACTORIAL}.")
    return math.factorial(int(n))


def _chosen(count: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def choose(n: int, k: int) -> int:
        if not 0 <= n <= MAX_FACTORIAL:
            raise ToolError(f"{count.__name__} takes whole numbers from 0 to {MAX_FACTORIAL}.")
        return count(n, k)

    return choose


def _log(x: Number, base: Number = 10) -> float:
    return math.log10(x) if base == 10 else math.log(x, base)


def _root(x: Number, n: Number = 2) -> Number:
    if n == 3:
        return math.cbrt(x)
    return math.sqrt(x) if n == 2 else real(x ** (1 / n))


def _total(*numbers: Number) -> Number:
    return math.fsum(numbers) if any(isinstance(n, float) for n in numbers) else sum(numbers)


def _changed_by_percent(base: Number, percent: Number) -> Number:
    return _divide(base * (100 + percent), 100)


def _rounded(x: Number, digits: Number = 0) -> Number:
    """Half away from zero, as taught at school, not Python's half to even."""
    if isinstance(x, int) and digits >= 0:
        return x
    with decimal.localcontext(prec=400):
        unit = decimal.Decimal(1).scaleb(-int(digits))
        exact = decimal.Decimal(repr(x)).quantize(unit, rounding=decimal.ROUND_HALF_UP)
    return int(exact) if digits <= 0 else float(exact)


def _equal(left: Number, right: Number) -> bool:
    """Equal but for the last digits of fractions: 0.1 + 0.2 is 0.3 here."""
    if isinstance(left, float) or isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-300)
    return left == right


def _differ(left: Number, right: Number) -> bool:
    return not _equal(left, right)


OPERATORS: dict[type[ast.AST], Callable[..., Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: _multiply,
    ast.Div: _divide,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Eq: _equal,
    ast.NotEq: _differ,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": abs,
    "acos": math.acos,
    "asin": math.asin,
    "atan": math.atan,
    "atan2": math.atan2,
    "cbrt": math.cbrt,
    "ceil": math.ceil,
    "comb": _chosen(math.comb),
    "cos": math.cos,
    "degrees": math.degrees,
    "exp": math.exp,
    "factorial": _factorial,
    "floor": math.floor,
    "gcd": math.gcd,
    "hypot": math.hypot,
    "lcm": math.lcm,
    "ln": math.log,
    "log": _log,
    "log10": math.log10,
    "log2": math.log2,
    "max": max,
    "mean": lambda *numbers: _divide(_total(*numbers), len(numbers)),
    "median": lambda *numbers: statistics.median(numbers),
    "min": min,
    "percent": lambda x: _divide(x, 100),
    "perm": _chosen(math.perm),
    "pow": _power,
    "radians": math.radians,
    "root": _root,
    "round": _rounded,
    "sin": math.sin,
    "sqrt": math.sqrt,
    "sum": _total,
    "tan": math.tan,
    "changed_by_percent": _changed_by_percent,
}

NAMES: dict[str, Number] = {"pi": math.pi, "e": math.e, "tau": math.tau}
