"""The proxy verifies the signatures of tokens itself, and one yes of the origin serves a person."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from proxy.access.tokens import Verifier
from proxy.errors import ConfigurationError
from proxy.prefetch.part import IN_FLIGHT
from proxy.service.app import create_app
from proxy.settings.model import Settings
from tests.codestreams import PARTS, htj2k
from tests.guarded_origin import SINGLE, Guarded, GuardedOrigin, guarded
from tests.house import cache_did
from tests.issuer import AUDIENCE, HOUR, ISSUER, Issuer, edwards_key, public_of, rsa_key
from tests.scripted_origin import Asked, ScriptedOrigin, codestream, frame_of, honest, running
from tests.stories.test_alternates import PIXELS, described
from tests.ways_in import ALTERNATE, FRAME, PREFLIGHT, WAYS

pytestmark = pytest.mark.anyio

HIT, MISS = (200, "hit"), (200, "fwd=miss; stored")
INVALID = 'Bearer error="invalid_token"'


class Trusting(GuardedOrigin):
    """Lets everybody read who has a token, and those of nobody else."""

    def _guard(self, asked: Asked) -> Any:
        self.readers = {asked.headers.get("authorization", "").removeprefix("Bearer ")} - {""}
        return super()._guard(asked)


@asynccontextmanager
async def verifying(
    origin: ScriptedOrigin, issuer: Issuer, /, access: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Guarded]:
    """A house that lets in who has a token of the issuer."""
    async with running(issuer):
        said = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": f"{issuer.url}/keys"}
        jwt = said | (access or {}).pop("jwt", {})
        async with guarded(origin, access={"jwt": jwt} | (access or {}), **settings) as at:
            yield at


async def test_one_yes_serves_all_tokens_of_a_person() -> None:
    origin, issuer = Trusting(), Issuer()
    async with verifying(origin, issuer) as at:
        assert await at.did(issuer.token(jti="1"), FRAME) == MISS
        assert [await at.did(issuer.token(jti=str(number)), FRAME) for number in range(5)] == [HIT] * 5
        assert len(origin.frame_requests) == 1
        assert await at.did(issuer.token("eve"), FRAME) == HIT
        assert at.probes() == 1


async def test_the_claims_that_name_a_person_are_a_setting() -> None:
    origin, issuer = Trusting(), Issuer()
    async with verifying(origin, issuer, {"jwt": {"claims": ["tenant", "user"]}}) as at:
        assert await at.did(issuer.token("1", tenant=1, user="ada"), FRAME) == MISS
        assert await at.did(issuer.token("2", tenant=1, user="ada"), FRAME) == HIT
        assert at.probes() == 0
        assert (await at.ask(issuer.token(tenant=1), FRAME)).json()["detail"].endswith("it lacks a claim")


def forged(issuer: Issuer) -> str:
    """Signed with HS256, and the issuer's public key as the secret."""
    name, key = next(iter(issuer.private.items()))
    secret = json.dumps(public_of(key, name)).encode()
    head, body, _ = issuer.token().split(".")
    told = {"alg": "HS256", "kid": name}
    head = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
    mark = hmac.digest(secret, f"{head}.{body}".encode(), sha256)
    return f"{head}.{body}.{base64.urlsafe_b64encode(mark).decode().rstrip('=')}"


def segment(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


SIGNED = segment(b'{"alg":"ES256","kid":"first"}')
BAD: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda issuer: issuer.token(exp=1_000_000_000),
    "not yet": lambda issuer: issuer.token(nbf=4_000_000_000),
    "without end": lambda issuer: issuer.token(exp=None),
    "of another issuer": lambda issuer: issuer.token(iss="https://login.example/"),
    "for another audience": lambda issuer: issuer.token(aud=["billing"]),
    "for no audience": lambda issuer: issuer.token(aud=None),
    "without a person": lambda issuer: issuer.token(sub=None),
    "of another key": lambda issuer: Issuer().token(),
    "cut": lambda issuer: issuer.token()[:-4],
    "of another body": lambda issuer: ".".join(
        [issuer.token().split(".")[0], issuer.token("eve").split(".")[1], issuer.token().split(".")[2]]
    ),
    "without a signature": lambda issuer: issuer.token().rpartition(".")[0] + ".",
    "alg none": lambda issuer: Issuer.signed("", "none", {"kid": "first"}),
    "HS256 with the public key": forged,
    "an algorithm that is not accepted": lambda issuer: Issuer.signed(rsa_key(), "RS512", {"kid": "first"}),
    "a key of another kind": lambda issuer: Issuer.signed(rsa_key(), "RS256", {"kid": "first"}),
    "an unknown key": lambda issuer: issuer.token(header={"kid": "unknown"}),
    "a critical header": lambda issuer: issuer.token(header={"crit": ["exp"]}),
    "a header of brackets": lambda issuer: f"{segment(b'[' * 9000)}.e30.",
    "a body of brackets": lambda issuer: f"{SIGNED}.{segment(b'[' * 9000)}.",
    "no JWT": lambda issuer: "opaque",
    "two": lambda issuer: f"{issuer.token()}, Bearer {issuer.token()}",
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_refused_before_anything_is_read(name: str) -> None:
    origin, issuer = Trusting(), Issuer()
    async with verifying(origin, issuer) as at:
        assert await at.did(issuer.token(), FRAME) == MISS
        before = len(origin.asked)
        token = BAD[name](issuer)
        refused = await at.ask(token, FRAME)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, INVALID)
        assert token not in refused.text
        assert len(origin.asked) == before


async def test_a_caller_without_a_token_hears_that_one_is_needed() -> None:
    origin, issuer = Trusting(), Issuer()
    async with verifying(origin, issuer) as at:
        for headers in ({}, {"cookie": "session=1"}):
            refused = await at.ask("", FRAME, **headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        refused = await at.ask("", FRAME, authorization="Basic YTpi")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, INVALID)
        assert origin.frame_requests == []


@pytest.mark.parametrize("policy", ["ask-origin", "credential", "shared", "own"])
async def test_it_holds_for_every_way_in(policy: str, tmp_path: Path) -> None:
    body = htj2k(PIXELS, **PARTS)
    origin, issuer = described(ScriptedOrigin().with_series([body])), Issuer()
    first: dict[str, Any] = {"rendered": "proxy"}
    access: dict[str, Any] = {} if policy in ("ask-origin", "own") else {"policy": policy}
    if policy == "own":
        path = tmp_path / "token"
        path.write_text("ours\n")
        first["credentials"] = {"bearer_file": str(path)}
    async with verifying(origin, issuer, access, origin=first, **ALTERNATE) as at:
        valid = {"authorization": f"Bearer {issuer.token()}"}
        assert (await at.home.viewer.get(FRAME, headers=SINGLE | valid)).status_code == 200
        await at.home.until_idle()
        before = len(origin.asked)
        for proof in ({}, {"authorization": f"Bearer {issuer.token(exp=1_000_000_000)}"}):
            statuses = {name: (await way.ask(at.home, proof)).status_code for name, way in WAYS.items()}
            assert statuses == dict.fromkeys(WAYS, 401)
        assert len(origin.asked) == before
        statuses = {name: (await way.ask(at.home, valid)).status_code for name, way in WAYS.items()}
        assert [name for name, status in statuses.items() if status == 401] == []
        await at.home.until_idle()


async def test_a_preflight_passes_and_nothing_that_only_looks_like_one() -> None:
    origin, issuer = Trusting(), Issuer()
    async with verifying(origin, issuer) as at:
        await at.home.viewer.options("/studies?x", headers=PREFLIGHT)
        assert [asked.method for asked in origin.asked_after_greeting] == ["OPTIONS"]
        for more in ({"cookie": "a=1"}, {"authorization": "Bearer x"}, {"content-length": "1"}):
            answer = await at.home.viewer.request(
                "OPTIONS",
                "/studies?x",
                headers=PREFLIGHT | more,
                content=b"x" if "content-length" in more else None,
            )
            assert answer.status_code == 401
        assert (await at.home.viewer.get("/studies?x", headers=PREFLIGHT)).status_code == 401
        assert len(origin.asked_after_greeting) == 1


async def test_a_page_that_may_read_sees_the_challenge() -> None:
    origin, issuer = Trusting(), Issuer()
    page = {"origin": "https://viewer.example"}
    async with verifying(origin, issuer, cors={"origins": [page["origin"]]}) as at:
        assert (await at.home.viewer.options(FRAME, headers=PREFLIGHT)).status_code == 200
        refused = await at.ask("x", FRAME, **page)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == page["origin"]


async def test_a_verified_token_costs_no_signature_until_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    origin, issuer = Trusting(), Issuer()
    async with verifying(origin, issuer) as at:
        verifier = verifier_of(at)
        early = int(verifier._clock())
        token = issuer.token()
        late = verifier._clock()
        assert await at.did(token, FRAME) == MISS
        verified = dict(verifier._verified)
        assert await at.did(token, FRAME) == HIT
        assert dict(verifier._verified) == verified
        verifier._clock = lambda: early + HOUR + 9  # the leeway is 10 s
        assert await at.did(token, FRAME) == HIT
        verifier._clock = lambda: late + HOUR + 11
        refused = await at.ask(token, FRAME)
        assert refused.json()["detail"].endswith("it has expired")


async def test_a_new_key_is_fetched_once_and_a_withdrawn_one_ends() -> None:
    origin, issuer = Trusting(), Issuer()
    async with verifying(origin, issuer) as at:
        old = issuer.token()
        assert await at.did(old, FRAME) == MISS
        keys = keys_of(at)
        keys._fetched_from = 0.0  # ten seconds later
        issuer.turn("second")
        assert await at.did(old, FRAME) == HIT
        assert await at.did(issuer.token(), FRAME) == HIT
        assert (await at.ask(old, FRAME)).status_code == 401
        for _ in range(3):
            assert (await at.ask(issuer.token(header={"kid": "third"}), FRAME)).status_code == 401
        assert len(issuer.asked) == 2


async def test_keys_in_use_are_fetched_anew_in_the_background() -> None:
    origin, issuer = Trusting(), Issuer()
    async with verifying(origin, issuer) as at:
        old = issuer.token()
        assert await at.did(old, FRAME) == MISS
        issuer.turn("second")
        keys = keys_of(at)
        keys._fetched_from = keys._due = 0.0  # ten minutes later
        assert await at.did(old, FRAME) == HIT
        await at.home.until(lambda: len(issuer.asked) == 2 and keys._fetching is None)
        assert (await at.ask(old, FRAME)).status_code == 401


async def test_while_the_issuer_is_down_nobody_new_gets_in_and_the_known_keys_stay() -> None:
    origin, issuer = Trusting(), Issuer()
    issuer.is_down = True
    async with verifying(origin, issuer) as at:
        for _ in range(3):
            refused = await at.ask(issuer.token(), FRAME)
            assert (refused.status_code, refused.json()["title"]) == (502, "AuthorityFailed")
            assert refused.headers["retry-after"] == "1"
        assert len(issuer.asked) == 1
        issuer.is_down = False
        keys = keys_of(at)
        keys._fetched_from = keys._due = 0.0
        assert await at.did(issuer.token(), FRAME) == MISS
        await issuer.stop()
        keys._fetched_from = keys._due = 0.0
        assert await at.did(issuer.token(), FRAME) == HIT
        await at.home.until(lambda: keys._fetching is None)
        assert await at.did(issuer.token(), FRAME) == HIT
        keys._fetched_from = 0.0
        assert (await at.ask(issuer.token(header={"kid": "new"}), FRAME)).status_code == 401


def verifier_of(at: Guarded) -> Verifier:
    verifier = at.home.app.access._verifier
    assert isinstance(verifier, Verifier)
    return verifier


def keys_of(at: Guarded) -> Any:
    return verifier_of(at)._keys


@pytest.mark.parametrize(
    "keys",
    [b"", b"<html>", b"[]", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', b"{" * 300_000],
)
async def test_a_key_set_that_can_not_be_used_lets_nobody_in(keys: bytes) -> None:
    class Odd(Issuer):
        @property
        def keys(self) -> bytes:
            return keys

    origin, issuer = Trusting(), Odd()
    async with verifying(origin, issuer) as at:
        assert (await at.ask(issuer.token(), FRAME)).status_code == 502
        assert origin.frame_requests == []


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "EdDSA"])
async def test_keys_can_come_from_a_file(algorithm: str, tmp_path: Path) -> None:
    private = edwards_key() if algorithm == "EdDSA" else rsa_key()
    name = "RS256" if algorithm == "PS256" else algorithm
    path = tmp_path / "keys"
    told = public_of(private, "k", name)
    path.write_text(json.dumps({"keys": [told | {"use": "enc"}, told]}))
    origin = Trusting()
    said = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": str(path)}
    async with guarded(origin, access={"jwt": said}) as at:
        assert await at.did(Issuer.signed(private, algorithm, {"kid": "k"}), FRAME) == MISS
        assert await at.did(Issuer.signed(private, algorithm, {}), FRAME) == HIT  # there is only one key
        assert (await at.ask(Issuer.signed(private, algorithm, {"kid": "l"}), FRAME)).status_code == 401


def test_a_file_without_keys_is_said_at_start(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text('{"keys": []}')
    said = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": str(path)}
    given: Any = {"origins": [{"url": "http://pacs.example"}], "access": {"jwt": said}}
    with pytest.raises(ConfigurationError, match=rf"^access.jwt.jwks_file: {path}: no public key"):
        create_app(Settings(**given))


async def test_a_token_that_goes_to_no_origin_is_verified_all_the_same() -> None:
    origin, issuer = ScriptedOrigin().with_series([b"\xff\x4f\xff\x51" + bytes(5000)]), Issuer()
    async with verifying(origin, issuer, origin={"forward": {"authorization": False}}) as at:
        assert (await at.ask("", frame_of(0))).status_code == 401
        answer = await at.ask(issuer.token(), frame_of(0))
        assert answer.status_code == 200
        assert cache_did(await at.ask(issuer.token("eve"), frame_of(0))) == "hit"
        assert "authorization" not in origin.frame_requests[0].headers


async def test_a_refusal_is_of_a_person() -> None:
    """The origin refuses the newest token, so a yes to an older one counts no longer."""
    origin, issuer = GuardedOrigin(), Issuer()
    old, new, other = issuer.token(jti="1"), issuer.token(jti="2"), issuer.token("eve")
    origin.readers = {old, other}
    async with verifying(origin, issuer) as at:
        assert [await at.did(old, FRAME), await at.did(other, frame_of(1))] == [MISS, MISS]
        assert await at.did(new, frame_of(1)) == (403, "")
        origin.readers.discard(old)
        assert await at.did(old, FRAME) == (403, "")


async def test_a_plan_ends_with_the_token_of_its_maker_and_the_persons_yes_stays() -> None:
    bodies = [codestream(5000 + number, seed=number) for number in range(2 * IN_FLIGHT + 1)]
    origin, issuer, barrier = Trusting(bodies=bodies), Issuer(), asyncio.Event()
    origin.then = lambda asked: (
        honest(origin.frames[asked.path], asked, before=[barrier])
        if "/frames/" in asked.path and asked.range is None  # so not the probe
        else None
    )
    maker = {"authorization": f"Bearer {issuer.token(jti='1')}"}
    async with verifying(origin, issuer) as at:
        plan = await at.home.begin_plan("single", headers=maker)
        run = at.home.app.plans.get(
            plan.rpartition("/")[2], await at.home.app.access.person(tuple(maker.items()))
        )
        identity = run.carrier.caller.identity
        await at.home.until(lambda: len(origin.frame_requests) > 1)
        run.carrier.caller = replace(run.carrier.caller, until=0.0)
        barrier.set()
        await at.home.until(lambda: run.is_over)
        assert (run.state.value, run.error) == ("failed", "CallerRefused")
        assert len(origin.frame_requests) <= 1 + IN_FLIGHT
        study = FRAME.split("/")[2]
        assert at.home.app.proofs.yes((identity, "pacs", study)) is not None


async def test_a_plan_is_its_makers_with_a_renewed_token_too() -> None:
    issuer = Issuer()
    old, new, other = ({"authorization": f"Bearer {issuer.token(*who)}"} for who in ((), (), ("eve",)))
    async with verifying(Trusting(), issuer) as at:
        plan = await at.home.begin_plan("single", headers=old)
        answers = [await at.home.admin.get(plan, headers=who) for who in (old, new, other, {})]
        assert [answer.status_code for answer in answers] == [200, 200, 404, 401]


def test_a_setting_that_can_not_work_is_refused() -> None:
    good = {"issuer": "i", "audience": "a", "jwks_file": "f"}
    wrongs: tuple[dict[str, Any], ...] = (
        {"issuer": None},
        {"audience": None},
        {"jwks_file": None},
        {"jwks_url": "https://x/keys"},
        {"algorithms": ["HS256"]},
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"claims": []},
    )
    for wrong in wrongs:
        given: Any = {"origins": [{"url": "http://pacs.example"}], "access": {"jwt": good | wrong}}
        with pytest.raises(ValueError, match="jwt"):
            Settings(**given)
    both: Any = {
        "origins": [{"url": "http://pacs.example"}],
        "access": {"jwt": good, "identity": {"claims": ["sub"]}},
    }
    with pytest.raises(ValueError, match=r"jwt\.claims names a caller"):
        Settings(**both)
