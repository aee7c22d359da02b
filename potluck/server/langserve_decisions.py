"""A person's decisions as a caller of the LangServe door sends them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from potluck.errors import PotluckError
from potluck.server.approvals import Approval, Resume, approved, edited, rejected

KEY = "decisions"


class _Decision(BaseModel):
    # What is not read must not look as if it counted.
    model_config = ConfigDict(frozen=True, extra="forbid")


class Approve(_Decision):
    """The call runs as it is."""

    type: Literal["approve"]


class EditedAction(_Decision):
    """The call that is to run instead; without `name`, the same tool."""

    name: str | None = None
    args: dict[str, object]


class Edit(_Decision):
    """Another call runs instead."""

    type: Literal["edit"]
    edited_action: EditedAction


class Reject(_Decision):
    """Nothing runs; the model is told why."""

    type: Literal["reject"]
    message: str = ""


Decision = Annotated[Approve | Edit | Reject, Field(discriminator="type")]
_BY_ID: TypeAdapter[Mapping[str, Decision]] = TypeAdapter(dict[str, Decision])
_IN_ORDER: TypeAdapter[Sequence[Decision]] = TypeAdapter(list[Decision])


class DecisionError(PotluckError):
    """The decisions do not fit what waits on the thread; nothing was run."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions by the id of the approval, or for all approvals in their order."""

    decisions: dict[str, Decision] | list[Decision]

    @classmethod
    def read(cls, given: Mapping[str, object]) -> "Decisions":
        """The decisions in an input. Raises ValueError that says what is wrong."""
        if set(given) != {KEY}:
            raise ValueError("`decisions` stand alone: send new messages when they are carried out")
        inner = given[KEY]
        try:
            if isinstance(inner, Mapping):
                read = cls(dict(_BY_ID.validate_python(inner)))
            else:
                read = cls(list(_IN_ORDER.validate_python(inner)))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = "".join(f"[{part!r}]" for part in first["loc"])
            raise ValueError(f"`decisions{place}`: {first['msg']}") from error
        if not read.decisions:
            raise ValueError("`decisions` is empty: give one for each approval")
        return read

    def for_pending(self, pending: Sequence[Approval]) -> Resume:
        """What the run goes on with. Raises DecisionError when they are not for these approvals.

        Those that wait and are not named go on waiting.
        """
        if not pending:
            raise DecisionError(
                "Nothing waits for approval on this thread.",
                fix="Send a message instead of `decisions`.",
            )
        if isinstance(self.decisions, list):
            return _in_order(self.decisions, pending)
        known = {one.id: one for one in pending}
        for approval_id in self.decisions:
            if approval_id not in known:
                raise DecisionError(
                    f"No approval {approval_id!r} waits on this thread.",
                    fix=f"Those that do: {', '.join(known)}.",
                )
        return {key: _answer(given, known[key]) for key, given in self.decisions.items()}


def _in_order(decisions: Sequence[Decision], pending: Sequence[Approval]) -> Resume:
    if len(decisions) != len(pending):
        raise DecisionError(
            f"{len(decisions)} decisions for {len(pending)} approvals.",
            fix="Give one for each, in the order of `approvals`, or name them by their ids.",
        )
    return {one.id: _answer(given, one) for one, given in zip(pending, decisions, strict=True)}


def _answer(given: Decision, approval: Approval) -> object:
    match given:
        case Approve():
            return approved()
        case Edit(edited_action=action):
            return edited(action.name or approval.name, action.args)
        case Reject(message=message):
            return rejected(message)
