"""Whose run it is."""

from types import SimpleNamespace
from typing import Any

import pytest

from nodes import whose
from nodes.whose import tenant_of, user_of


def config(identity: str | None) -> Any:
    user = SimpleNamespace(identity=identity)
    return {"configurable": {"langgraph_auth_user": user} if identity is not None else {}}


@pytest.mark.parametrize("nobody", [None, "", "anonymous", "langgraph-studio-user"])
def test_where_all_are_one_there_is_no_user(nobody: str | None) -> None:
    assert user_of(config(nobody)) == ""


def test_the_user_is_whoever_came_in_by_authentication() -> None:
    assert user_of(config("ann")) == "ann"
    assert user_of({"configurable": {"langgraph_auth_user": {"identity": "ann"}}}) == "ann"
    assert user_of({"configurable": {"user_id": "ann"}}) == ""


def test_no_context_leads_to_another_users_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    def tenant(user: str, part: str = "") -> str:
        monkeypatch.setattr(whose, "get_config", lambda: config(user))
        return tenant_of({"tenant": part} if part else {})

    assert (tenant("ann"), tenant("")) == ("ann", "")
    tenants = [tenant(user, part) for user in ("ann", "bob", "") for part in ("", "ann", ":ann")]
    assert len(set(tenants)) == len(tenants)
