from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.access.caller import CREDENTIALS, Access

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
