"""A login server for OHIF: OpenID Connect with a code (RFC 6749 4.1, RFC 7636), on a real socket."""

import base64
import json
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import parse_qs, urlencode

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.issuer import Issuer

CLIENT = "ohif"


@dataclass
class Login:
    """Lets everybody in as Ada without a question. Its tokens are those of an issuer."""

    issuer: Issuer = field(default_factory=Issuer)
    url: str = ""
    challenges: dict[str, str] = field(default_factory=dict)
    """The challenge of each code that was not used."""
    tokens: list[str] = field(default_factory=list)
    """The tokens that were issued."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        routes = [
            Route("/.well-known/openid-configuration", self._configuration),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/keys", self._keys),
        ]
        await CORSMiddleware(Starlette(routes=routes), allow_origins=["*"])(scope, receive, send)

    @property
    def configuration(self) -> str:
        """The member `oidc` of OHIF's app-config.js."""
        wanted = {"authority": self.url, "client_id": CLIENT, "redirect_uri": "/callback"}
        wanted |= {"response_type": "code", "scope": "openid", "post_logout_redirect_uri": "/logged-out"}
        return f"oidc: [{json.dumps(wanted)}],"

    async def _configuration(self, _: Request) -> Response:
        places = {"authorization": "authorize", "token": "token"}
        told = {f"{name}_endpoint": f"{self.url}/{path}" for name, path in places.items()}
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | told)

    async def _authorize(self, request: Request) -> Response:
        asked = request.query_params
        assert (asked["client_id"], asked["code_challenge_method"]) == (CLIENT, "S256")
        code = f"code-{len(self.tokens)}"
        self.challenges[code] = asked["code_challenge"]
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}")

    async def _token(self, request: Request) -> Response:
        asked = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        proof = base64.urlsafe_b64encode(sha256(asked["code_verifier"].encode()).digest()).decode()
        assert self.challenges.pop(asked["code"]) == proof.rstrip("=")
        self.tokens.append(self.issuer.token())
        identity = self.issuer.token(iss=self.url, aud=CLIENT)
        lasts = {"token_type": "Bearer", "expires_in": 3600}
        return JSONResponse({"access_token": self.tokens[-1], "id_token": identity} | lasts)

    async def _keys(self, _: Request) -> Response:
        return Response(self.issuer.keys, media_type="application/jwk-set+json")
