"""An OpenID Connect provider: configuration, keys, authorization code flow with PKCE, and tokens without a browser.

It also gives tokens as CI services do, so that ambient credentials can be tried: as GitHub Actions' token endpoint, as
Google's metadata server, as GitLab (a variable) and Buildkite (a program). A workflow's token names it in a claim of
its own, and its subject is something else (https://github.com/sigstore/fulcio/blob/main/docs/oidc.md).
"""

import base64
import hashlib
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.sigstore_stack.service import Refusal, Request, Response, Service, answer_json

AUDIENCE = "sigstore"
LIFETIME = 600
GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.com"
BUILDKITE = "https://agent.buildkite.com"
GOOGLE = "https://accounts.google.com"
METADATA = "/computeMetadata/v1/instance/service-accounts/default"
IMPERSONATION = "/v1/projects/-/serviceAccounts/{}:generateIdToken"
WORKFLOW = "https://github.com/example/model/.github/workflows/release.yml@refs/heads/main"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Authorization:
    challenge: str
    redirect_uri: str
    identity: str


class IdentityProvider(Service):
    """Mints tokens; whoever comes with a browser is `visitor`."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._codes: dict[str, _Authorization] = {}
        self.visitor = "dev@example.com"
        self.denies_visitors = False
        self.ambient: tuple[str, dict[str, object]] = (WORKFLOW, {})
        """identity and claims of the token that a GitHub runner gets"""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()

    def token(self, identity: str, *, issuer: str | None = None, **claims: object) -> str:
        """Return a signed token for ``identity``; `claims` are added or replace the usual ones.

        Of a CI service's issuer, ``identity`` is the URI that Fulcio makes of the claims.
        """
        subject, named = _workflow(identity, issuer)
        issued = int(time.time())
        return jwt.encode(
            {
                "iss": issuer or self.url,
                "sub": subject,
                "aud": AUDIENCE,
                "iat": issued,
                "nbf": issued - 5,
                "exp": issued + LIFETIME,
                "email": identity,
                "email_verified": True,
                **named,
                **claims,
            },
            self._key,
            algorithm="ES256",
            headers={"kid": "1"},
        )

    def forged_token(self, identity: str) -> str:
        """Return a token with the right claims, signed by a stranger."""
        claims = jwt.decode(self.token(identity), options={"verify_signature": False})
        return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": "1"})

    def github_environment(self, identity: str, **claims: object) -> dict[str, str]:
        """Return the variables under which `id.detect_credential` gets a token for a GitHub workflow from here."""
        self.ambient = (identity, dict(claims))
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/github?api-version=2.0",
        }

    def gitlab_environment(self, identity: str) -> dict[str, str]:
        """Return the variables of a GitLab job with `id_tokens: SIGSTORE_ID_TOKEN`."""
        return {"GITLAB_CI": "true", "SIGSTORE_ID_TOKEN": self.token(identity, issuer=GITLAB)}

    def buildkite_environment(self, identity: str, directory: Path) -> dict[str, str]:
        """Return the variables of a Buildkite job, whose agent is put into ``directory``."""
        agent = directory / "buildkite-agent"
        asked = f"oidc request-token --audience {AUDIENCE}"
        token = self.token(identity, issuer=BUILDKITE)
        agent.write_text(f'#!/bin/sh\n[ "$*" = "{asked}" ] || {{ echo "unknown: $*"; exit 1; }}\necho {token}\n')
        agent.chmod(0o755)
        return {"BUILDKITE": "true", "PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}

    def _answer(self, request: Request) -> Response:
        match request.method, request.path:
            case "GET", "/.well-known/openid-configuration":
                return answer_json(
                    {
                        "issuer": self.url,
                        "authorization_endpoint": f"{self.url}/auth",
                        "token_endpoint": f"{self.url}/token",
                        "jwks_uri": f"{self.url}/keys",
                        "response_types_supported": ["code"],
                        "id_token_signing_alg_values_supported": ["ES256"],
                    }
                )
            case "GET", "/keys":
                return answer_json({"keys": [self._jwk()]})
            case "GET", "/auth":
                return self._authorize(request.query)
            case "POST", "/token":
                return self._exchange(request.form())
            case "GET", "/github":
                if request.headers.get("authorization") != "bearer request-token":
                    raise Refusal(403, "no request token")
                identity, claims = self.ambient
                return answer_json({"value": self.token(identity, issuer=GITHUB, **claims)})
            case _:
                return self._google(request)

    def _google(self, request: Request) -> Response:
        """Answer as the metadata server does, and as the service that lets one account speak for another."""
        match request.method, request.path:
            case "GET", path if path.startswith(METADATA) and request.headers.get("metadata-flavor") != "Google":
                raise Refusal(403, "Metadata-Flavor is missing")
            case "GET", path if path == f"{METADATA}/identity" and request.query.get("audience") == AUDIENCE:
                return Response(body=self.token(self.ambient[0], issuer=GOOGLE).encode())
            case "GET", path if path == f"{METADATA}/token":
                return answer_json({"access_token": "access-token"})
            case "POST", path if path == IMPERSONATION.format(self.ambient[0]):
                if request.headers.get("authorization") != "Bearer access-token":
                    raise Refusal(403, "no access token")
                return answer_json({"token": self.token(self.ambient[0], issuer=GOOGLE)})
            case _:
                raise Refusal(404, request.path)

    def _jwk(self) -> dict[str, str]:
        algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        document = json.loads(algorithm.to_jwk(self.public_key))
        return {**document, "kid": "1", "alg": "ES256", "use": "sig"}

    def _authorize(self, query: dict[str, str]) -> Response:
        state = query.get("state", "")
        redirect = query.get("redirect_uri", "")
        if self.denies_visitors:
            return _redirect(redirect, {"error": "access_denied", "state": state})
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            raise Refusal(400, "only the code flow with PKCE S256")
        code = secrets.token_urlsafe(16)
        self._codes[code] = _Authorization(
            challenge=query.get("code_challenge", ""), redirect_uri=redirect, identity=self.visitor
        )
        if redirect.startswith("urn:ietf:wg:oauth:2.0:oob"):
            return Response(body=code.encode(), headers={"Content-Type": "text/plain"})
        return _redirect(redirect, {"code": code, "state": state})

    def _exchange(self, form: dict[str, str]) -> Response:
        authorization = self._codes.pop(form.get("code", ""), None)
        if authorization is None or authorization.redirect_uri != form.get("redirect_uri"):
            return answer_json({"error": "invalid_grant"}, 400)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != authorization.challenge:
            return answer_json({"error": "invalid_grant"}, 400)
        token = self.token(authorization.identity)
        return answer_json({"access_token": token, "id_token": token, "token_type": "Bearer"})


def _workflow(identity: str, issuer: str | None) -> tuple[str, dict[str, object]]:
    """Return the subject of a token for ``identity``, and the claims that name a workflow."""
    match issuer:
        case _ if issuer == GITHUB:
            name = identity.removeprefix("https://github.com/")
            repository, _, ref = "/".join(name.split("/")[:2]), *name.partition("@")[1:]
            return f"repo:{repository}:ref:{ref}", {"job_workflow_ref": name, "workflow_ref": name}
        case _ if issuer == GITLAB:
            return "project_path:acme/model:ref_type:branch:ref:main", {
                "ci_config_ref_uri": identity.removeprefix("https://")
            }
        case _ if issuer == BUILDKITE:
            organization, pipeline = identity.removeprefix("https://buildkite.com/").split("/")
            return f"organization:{organization}:pipeline:{pipeline}:ref:refs/heads/main", {
                "organization_slug": organization,
                "pipeline_slug": pipeline,
            }
        case _:
            return identity, {}


def _redirect(where: str, parameters: dict[str, str]) -> Response:
    return Response(status=302, headers={"Location": f"{where}?{urlencode(parameters)}"})


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
