import asyncio
from functools import partial
from itertools import combinations
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.access.authorizer import Asked
from proxy.access.caller import ASKED, CREDENTIALS, MOST_PERSONS, Access, Caller, Forward, Policy
from proxy.access.tokens import claimed

ASKED_FOR = Asked("GET", "studies", "studies")
FAST = settings(deadline=None, database=None)
TOKEN = "Bearer eyJhbGciOiJIUzI1NiJ9.ZZSENTINEL"
Credentials = tuple[tuple[str, str], ...]

headers = st.tuples(st.sampled_from(CREDENTIALS), st.text("ab:\n0123 ", max_size=6))
credentials = st.lists(headers, max_size=3).map(tuple)


def test_one_credential_has_one_partition() -> None:
    access = Access("credential")
    proof = (("authorization", TOKEN), ("cookie", "session=1"))
    assert access.partition(proof) == access.partition(list(proof)) == access.partition(iter(proof))


def test_other_credentials_have_other_partitions() -> None:
    access = Access("credential")
    proofs: list[Credentials] = [
        (),
        (("authorization", TOKEN),),
        (("authorization", TOKEN + " "),),
        (("authorization", TOKEN.lower()),),
        (("authorization", ""),),
        (("cookie", TOKEN),),
        (("cookie", ""),),
        (("authorization", TOKEN), ("cookie", "a=1")),
        (("authorization", TOKEN), ("cookie", "a=2")),
        (("authorization", TOKEN), ("authorization", TOKEN)),
        (("cookie", "a=1"), ("cookie", "b=2")),
        (("cookie", "a=1\ncookie:3:b=2"),),
        (("cookie", "a=1\ncookie:b=2"),),
        (("cookie", "a=1, b=2"),),
        (("cookie", "ab"), ("cookie", "c")),
        (("cookie", "a"), ("cookie", "bc")),
        (("cookie", "\xe9"),),
        (("cookie", "\udce9"),),
    ]
    for one, other in combinations(proofs, 2):
        assert access.partition(one) != access.partition(other), (one, other)


@FAST
@given(credentials, credentials)
def test_partitions_are_equal_if_and_only_if_credentials_are(one: Credentials, other: Credentials) -> None:
    access = Access("credential")
    assert (access.partition(one) == access.partition(other)) is (one == other)


@pytest.mark.parametrize("policy", ["credential", "shared"])
def test_without_a_credential_the_partition_is_empty(policy: str) -> None:
    assert Access("shared" if policy == "shared" else "credential").partition(()) == b""


def test_shared_is_one_partition_for_all() -> None:
    access = Access("shared")
    proofs: tuple[Credentials, ...] = ((), (("authorization", TOKEN),), (("cookie", "a=1"),))
    assert {access.partition(proof) for proof in proofs} == {b""}


def test_no_byte_of_a_token_is_in_its_partition() -> None:
    partition = Access("credential").partition((("authorization", TOKEN),))
    assert len(partition) == 32
    for word in (b"Bearer", b"ZZSENTINEL", b"eyJh", b"authorization"):
        assert word not in partition


def test_a_partition_can_not_be_computed_outside_of_the_process() -> None:
    proof = (("authorization", TOKEN),)
    assert len({Access("credential").partition(proof) for _ in range(10)}) == 10


def test_a_token_of_a_megabyte_has_a_partition_of_32_bytes() -> None:
    assert len(Access("credential").partition((("cookie", "x" * 1024 * 1024),))) == 32


def asked(*headers: tuple[str, str], cookies: frozenset[str] | None = None) -> Caller:
    """The caller of a request with these headers, by the default policy."""
    return asyncio.run(ASKING[cookies].admit("pacs", ASKED_FOR, headers))


ASKING = {
    cookies: Access("ask-origin", {"pacs": Forward()}, cookies)
    for cookies in (None, frozenset[str](), frozenset({"session"}))
}
SESSION = frozenset({"session"})
BEARER = ("authorization", TOKEN)


def test_callers_with_a_credential_read_one_partition_and_stay_apart() -> None:
    callers = [asked(BEARER), asked(("authorization", "other")), asked(("cookie", "a=1"))]
    assert {caller.partition for caller in callers} == {ASKED}
    assert len({caller.identity for caller in callers}) == 3
    assert all(len(caller.identity) == 32 for caller in callers)


def test_callers_without_a_credential_have_no_identity() -> None:
    caller = asked(("accept", "*/*"))
    assert (caller.partition, caller.identity, caller.credentials) == (b"", b"", ())


def test_with_a_token_cookies_neither_count_nor_are_sent_with_a_frame() -> None:
    plain, more = asked(BEARER), asked(BEARER, ("cookie", "tracking=1"))
    assert more.identity == plain.identity
    assert more.credentials == (BEARER,)
    assert more.forwarded == (BEARER, ("cookie", "tracking=1"))


def test_without_a_token_all_cookies_count_in_any_order() -> None:
    one, same, other = (asked(("cookie", jar)) for jar in ("a=1; b=2", "b=2; a=1", "a=1; b=3"))
    assert one.identity == same.identity != other.identity
    assert same.credentials == (("cookie", "a=1; b=2"),)


def test_of_two_cookies_with_one_name_the_first_stays_first() -> None:
    assert asked(("cookie", "a=1; a=2")).identity != asked(("cookie", "a=2; a=1")).identity


def test_named_cookies_count_beside_a_token() -> None:
    one, same, other = (
        asked(BEARER, ("cookie", jar), cookies=SESSION)
        for jar in ("session=1; t=1", "t=2; session=1", "session=2; t=1")
    )
    assert one.identity == same.identity != other.identity
    assert one.credentials == (BEARER, ("cookie", "session=1"))


def test_a_cookie_that_does_not_count_is_no_credential() -> None:
    caller = asked(("cookie", "tracking=1"), cookies=frozenset())
    assert (caller.partition, caller.identity, caller.credentials) == (b"", b"", ())
    assert caller.forwarded == (("cookie", "tracking=1"),)


@given(credentials, credentials)
def test_callers_with_one_identity_send_the_same(one: Credentials, other: Credentials) -> None:
    first, second = asked(*one), asked(*other)
    assert (first.identity == second.identity) is (first.credentials == second.credentials)


def unsigned(**claims: Any) -> str:
    """A token with these claims and no signature, as anybody can make one."""
    return jwt.encode(claims, "", "none")


PEOPLE = Access(
    "ask-origin", {"pacs": Forward(), "own": Forward(is_own=True)}, claimed=partial(claimed, ("iss", "sub"))
)


def person(token: str, origin: str = "pacs") -> Caller:
    return asyncio.run(PEOPLE.admit(origin, ASKED_FOR, [("authorization", f"Bearer {token}")]))


def test_a_renewed_token_of_one_person_is_one_name_in_bookkeeping_and_no_proof() -> None:
    one, renewed, other = (
        person(unsigned(iss="a", sub=sub, jti=jti)) for sub, jti in (("x", 1), ("x", 2), ("y", 1))
    )
    assert one.person == renewed.person != other.person
    assert len({one.identity, renewed.identity, other.identity}) == 3
    assert not {one.person, other.person} & {one.identity, renewed.identity, other.identity}


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b.c",
        unsigned(iss="a"),
        unsigned(iss="a", sub=["x"]),
        unsigned(iss="a", sub=None),
        unsigned(iss="a", sub="x") + " ",
        jwt.utils.base64url_encode(b"[" * 20_000).decode() + ".e30.",
        "e30." + jwt.utils.base64url_encode(b"[" * 20_000).decode() + ".",
    ],
)
def test_a_credential_without_the_claims_is_its_own_name(token: str) -> None:
    caller = person(token)
    assert caller.person == caller.identity != b""


def test_a_claim_that_is_text_is_not_the_number() -> None:
    assert person(unsigned(iss="a", sub="1")).person != person(unsigned(iss="a", sub=1)).person


def test_without_claims_the_credential_is_the_name_with_any_policy() -> None:
    policies: tuple[Policy, ...] = ("ask-origin", "credential", "shared")
    for policy in policies:
        access = Access(policy, {"pacs": Forward(), "own": Forward(is_own=True)})
        for origin in ("pacs", "own"):
            one, same, other, nobody = (
                asyncio.run(access.admit(origin, ASKED_FOR, headers))
                for headers in ([BEARER], [BEARER, ("cookie", "t=1")], [("cookie", "t=1")], [])
            )
            assert one.person == same.person != other.person
            assert (len(one.person), nobody.person) == (32, b"")


def test_the_names_are_remembered_within_bounds() -> None:
    for number in range(MOST_PERSONS + 10):
        PEOPLE._person(b"%d" % number, ())
    assert len(PEOPLE._persons) == MOST_PERSONS


def test_with_one_key_a_name_is_the_same_in_each_process() -> None:
    names = {Access("credential", key=b"k" * 32).partition([BEARER]) for _ in range(2)}
    assert len(names) == 1
    assert names != {Access("credential", key=b"l" * 32).partition([BEARER])}
