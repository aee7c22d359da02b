"""The calculator: exact where it can be, bounded in time and memory always."""

import ast
from typing import TypeGuard

import simpleeval
from langchain_core.tools import tool

from potluck.errors import ToolError
from tools.arithmetic import FUNCTIONS, NAMES, OPERATORS, TOO_LARGE, Number, real
from tools.formula import MAX_FORMULA_CHARS, to_python


@tool(parse_docstring=True)
def calculator(expression: str) -> str:
    """Calculate exactly. Knows the usual operators, functions, percent, n!, comb, gcd, mean, pi, e.

    Args:
        expression: Such as 17*23 + sqrt(2), 80 + 15%, log(8, 2), sin(30°), 17 % 5.
    """
    shown = " ".join(expression.split())
    return f"{shown} = {written(evaluate(expression))}"


def evaluate(expression: str) -> Number:
    """The value of an expression. Raises ToolError that says what is wrong with it."""
    if len(expression) > MAX_FORMULA_CHARS:
        raise ToolError(
            f"The expression has {len(expression):,} letters; the most is {MAX_FORMULA_CHARS:,}. "
            "Calculate it in parts."
        )
    formula = to_python(expression)
    try:
        tree = ast.parse(formula, mode="eval").body
        value = _evaluator().eval(formula, previously_parsed=_checked(tree))
    except SyntaxError as error:
        raise ToolError(
            f"{expression[:100]!r} is not an expression. Write it like (2 + 3) * sqrt(4)."
        ) from error
    except (RecursionError, MemoryError) as error:
        raise ToolError("The expression is nested too deep. Calculate it in parts.") from error
    except ZeroDivisionError as error:
        raise ToolError("Division by zero has no result.") from error
    except OverflowError as error:
        raise ToolError(TOO_LARGE) from error
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ToolError(f"The expression has no result: {error}.") from error
    except simpleeval.InvalidExpression as error:
        raise ToolError(f"The expression cannot be calculated: {error}.") from error
    return real(value)


def written(value: Number) -> str:
    """The number as people write it: no trailing .0, fifteen digits where it is not whole."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.15g}"


def _evaluator() -> simpleeval.SimpleEval:
    return simpleeval.SimpleEval(operators=OPERATORS, functions=FUNCTIONS, names=NAMES)


class _Check(ast.NodeTransformer):
    """Lets through arithmetic alone, and gives `80 + 15%` its everyday meaning."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            raise ToolError(
                f"There is no function {name!r}. Known: {', '.join(sorted(FUNCTIONS))}."
            )
        if node.keywords or any(isinstance(given, ast.Starred) for given in node.args):
            raise ToolError(f"{name} takes plain values, such as {name}(2).")
        node.args = [
            value
            for given in node.args
            for value in (given.elts if isinstance(given, ast.Tuple) else [given])
        ]
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in NAMES and node.id not in FUNCTIONS:
            raise ToolError(f"{node.id!r} is not known. Write numbers, pi, e, and functions.")
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Add | ast.Sub) or not _is_percent(node.right):
            return node
        if _is_percent(node.left):
            return node
        share = node.right.args[0]
        if isinstance(node.op, ast.Sub):
            share = ast.UnaryOp(op=ast.USub(), operand=share)
        changed = ast.Name(id="changed_by_percent", ctx=ast.Load())
        return ast.Call(func=changed, args=[node.left, share], keywords=[])


def _is_percent(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "percent"
        and len(node.args) == 1
    )


def _checked(tree: ast.expr) -> ast.AST:
    checked: ast.AST = _Check().visit(tree)
    return checked
