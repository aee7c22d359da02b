"""Whose request it is, by what its headers hold."""

import re
from typing import Any

import pytest
from starlette.datastructures import Headers

from potluck.server.auth_keys import ActingError, Keyring
from potluck.server.ownership import ANONYMOUS, Caller
from potluck.settings import PROJECT_DIR, Settings

SHARED = "a long shared secret"
KEYS = "ann:s1,root:s2:admin,bare,a.b/c~d:s3"


def caller(keys: str = KEYS, *, secret: str | None = None, **headers: str) -> Caller | None:
    settings = Settings(potluck_api_keys=keys, potluck_openwebui_jwt_secret=secret)  # type: ignore[arg-type] # parsed
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Keyring.of(settings, "inner").caller_of(Headers(sent))


def user(**headers: Any) -> str:
    found = caller(**headers)
    assert found is not None
    return found.user


def test_without_keys_everybody_is_the_local_user_who_may_everything() -> None:
    for headers in ({}, {"authorization": "Bearer any"}, {"X_OpenWebUI_User_Id": "ada"}):
        found = caller("", **headers)
        assert found is not None
        assert (found.user, found.role, found.owner) == (ANONYMOUS, "admin", "")


@pytest.mark.parametrize(
    ("secret", "name", "role"), [("s1", "ann", "user"), ("s2", "root", "admin")]
)
def test_a_key_tells_its_user_and_role(secret: str, name: str, role: str) -> None:
    assert caller(x_api_key=secret) == Caller(name, role, key=name)  # type: ignore[arg-type] # a role


def test_the_keys_of_the_guide_are_two_users() -> None:
    guide = (PROJECT_DIR / "docs" / "security.md").read_text("utf-8")
    example = re.search(r"^```\nPOTLUCK_API_KEYS=(.+)\n```$", guide, re.MULTILINE)
    assert example is not None
    assert caller(example[1], x_api_key="a-long-secret") == Caller("ann", "user", key="ann")
    assert caller(example[1], x_api_key="another-long-secret") == Caller("ops", "admin", key="ops")


def test_a_key_without_a_name_has_one_that_shows_nothing_of_it() -> None:
    name = user(x_api_key="bare")
    assert name.startswith("key-")
    assert "bare" not in name


def test_a_name_is_one_label_of_the_stores_namespaces() -> None:
    name = user(x_api_key="s3")
    assert not set(name) & set("./%")
    assert name != user(keys="a-b-c-d:s3", x_api_key="s3")


def test_who_has_no_key_is_nobody() -> None:
    assert caller() is None
    assert caller(x_api_key="ann", x_potluck_user="ann") is None


def test_the_user_behind_open_webui_is_apart() -> None:
    assert user(x_api_key="s1", X_OpenWebUI_User_Id="ada") == "ann/ada"
    assert user(x_api_key="s1", X_OpenWebUI_User_Id="../root") == "ann/~2E~2E~2Froot"
    behind = caller(x_api_key="s2", X_OpenWebUI_User_Id="ada")
    assert behind is not None
    assert (behind.role, behind.key) == ("user", "root")


@pytest.mark.parametrize("wanted", ["ann", "ann/ada", ANONYMOUS])
def test_this_server_and_admins_act_for_anybody(wanted: str) -> None:
    assert user(x_api_key="inner", x_potluck_user=wanted) == wanted
    found = caller(x_api_key="s2", x_potluck_user=wanted)
    assert found is not None
    assert (found.user, found.role, found.is_internal) == (wanted, "user", False)


@pytest.mark.parametrize("wanted", ["root", "annie", "anonymous", "", "root/ada", "a" * 500])
def test_a_user_acts_for_nobody_else(wanted: str) -> None:
    with pytest.raises(ActingError):
        caller(x_api_key="s1", x_potluck_user=wanted)


@pytest.mark.parametrize("wanted", ["a.b", "a:b", "a/b/c", "/a", "a/", "a b", "ä", "a\n", ".."])
def test_nobody_acts_for_what_no_user_is_called(wanted: str) -> None:
    with pytest.raises(ActingError, match="must name a user"):
        caller(x_api_key="s2", x_potluck_user=wanted)


def test_a_name_that_is_too_long_is_refused() -> None:
    assert len(user(x_api_key="s1", X_OpenWebUI_User_Id="a" * 396)) == 400
    with pytest.raises(ActingError):
        caller(x_api_key="s1", X_OpenWebUI_User_Id="a" * 397)


def test_a_key_vouches_for_the_users_behind_it_unless_they_are_signed() -> None:
    assert user(x_api_key="s1", x_potluck_user="ann/ada") == "ann/ada"
    with pytest.raises(ActingError):
        caller(secret=SHARED, x_api_key="s1", x_potluck_user="ann/ada")


def test_a_user_is_known_as_long_as_a_key_stands_for_him() -> None:
    settings = Settings(potluck_api_keys=KEYS)  # type: ignore[arg-type] # parsed
    keyring = Keyring.of(settings, "inner")
    for known in ("ann", "ann/ada", "root", "a~2Eb~2Fc~7Ed", ANONYMOUS, user(x_api_key="bare")):
        assert keyring.has_user(known), known
    for gone in ("annie", "", "ada", "internal", "an"):
        assert not keyring.has_user(gone), gone
    assert Keyring().has_user("annie"), "without keys nobody is asked for one"


def test_the_keys_themselves_are_not_kept() -> None:
    settings = Settings(potluck_api_keys="ann:planted-one")  # type: ignore[arg-type] # parsed
    keyring = Keyring.of(settings, "planted-two")
    assert "planted" not in repr(vars(keyring))
