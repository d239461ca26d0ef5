"""Requests that must be refused, each with the exact status and problem code it gets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..api import encode, mint

UNKNOWN_TASK = "018f0000-0000-7000-8000-000000000000"
JSON = {"Content-Type": "application/json"}
BODY = b'{"role": "nobody", "input": {}}'
BODY_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Case:
    what: str
    status: int
    code: str
    method: str = "POST"
    path: str = "/tasks"
    body: bytes | None = BODY
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    #: None: the usual developer's; empty: no token at all.
    token: str | None = None
    #: Headers the answer must have.
    needs: tuple[str, ...] = ()


def shape(what: str, **fields: object) -> Case:
    """A JSON body of the wrong shape."""
    return Case(what, 422, "validation_failed", body=json.dumps({"role": "nobody", "input": {}} | fields).encode())


def malformed(what: str, body: bytes, code: str = "json_malformed") -> Case:
    return Case(what, 400, code, body=body)


def bodies() -> list[Case]:
    return [
        malformed("no JSON at all", b"hello"),
        malformed("an empty body", b""),
        malformed("JSON cut short", b'{"input": {'),
        malformed("text after the JSON", b'{"input": {}} {}'),
        malformed("a raw NUL byte in a string", b'{"input": {"a": "b\x00c"}}', "json_nul_in_text"),
        malformed("an escaped NUL in a string", b'{"input": {"a": "b\\u0000c"}}', "json_nul_in_text"),
        malformed("bytes that are not UTF-8", b'{"input": {"a": "\xff\xfe"}}', "json_bad_utf8"),
        malformed("half a surrogate pair", b'{"input": {"a": "\\ud800"}}', "json_bad_utf8"),
        malformed("a field that stands twice", b'{"input": {}, "input": {}}', "json_duplicate_key"),
        malformed("nesting beyond every bound", b'{"input": ' + b"[" * 5000 + b"]" * 5000 + b"}", "json_too_deep"),
        Case("a list instead of an object", 422, "validation_failed", body=b"[]"),
        Case("a body beyond 1 MiB", 413, "body_too_large",
             body=b'{"input": "' + b"a" * BODY_BYTES_MAX + b'"}'),
        Case("a body of another type", 415, "unsupported_media_type", headers={"Content-Type": "text/plain"}),
        Case("a body of no type", 415, "unsupported_media_type", headers={}),
        Case("a body in another character set", 415, "unsupported_media_type",
             headers={"Content-Type": "application/json; charset=latin-1"}),
        shape("an unknown workflow", workflow="no-such-workflow"),
        shape("a workflow of the wrong type", workflow=7),
        shape("a role with a wildcard", role="*"),
        shape("a role with the other wildcard", role="work.>"),
        shape("a role with a space", role="log analyst"),
        shape("a role with a dot", role="a.b"),
        shape("an empty role", role=""),
        shape("a role beyond 63 characters", role="a" * 64),
        shape("a project with a wildcard", project="*"),
        shape("a name that is SQL", name="test; DROP TABLE users;"),
        shape("a name of the wrong type", name={"a": 1}),
        shape("a priority beyond 9", priority=10),
        shape("a negative priority", priority=-1),
        shape("a priority that is a text", priority="5"),
        shape("a priority with a fraction", priority=1.5),
        shape("a timeout of nothing", timeout_seconds=0),
        shape("a timeout beyond a day", timeout_seconds=86_401),
        shape("a number beyond 64 bits", timeout_seconds=10**30),
        shape("no attempts", max_attempts=0),
        shape("labels that are a list", labels=["a"]),
        shape("a label that is a number", labels={"a": 1}),
        shape("more labels than allowed", labels={f"l{number}": "x" for number in range(17)}),
        shape("a field nobody knows", surprise=True),
        shape("a tenant in the body", tenant="other"),
        Case("an idempotency key beyond 255 characters", 400, "invalid_header",
             headers=JSON | {"Idempotency-Key": "k" * 256}),
        Case("an idempotency key with a space", 400, "invalid_header", headers=JSON | {"Idempotency-Key": "a b"}),
        Case("an empty idempotency key", 400, "invalid_header", headers=JSON | {"Idempotency-Key": ""}),
    ]


def unsigned(secret: str) -> str:
    """A token that says it needs no signature."""
    claims = mint(secret).split(".")[1]
    return encode({"alg": "none", "typ": "JWT"}).decode() + "." + claims + "."


def signed_otherwise(secret: str) -> str:
    """A good HMAC of an algorithm that the key is not for."""
    signed = encode({"alg": "HS512", "typ": "JWT"}) + b"." + mint(secret).split(".")[1].encode()
    signature = base64.urlsafe_b64encode(hmac.digest(secret.encode(), signed, hashlib.sha512)).rstrip(b"=")
    return (signed + b"." + signature).decode()


def tampered(secret: str) -> str:
    """Another tenant's claims under a good signature."""
    head, _, signature = mint(secret).split(".")
    return ".".join([head, mint(secret, tenant="other").split(".")[1], signature])


def tokens(secret: str) -> list[Case]:
    now = int(time.time())

    def refused(what: str, code: str, token: str) -> Case:
        return Case(what, 401, code, token=token, needs=("www-authenticate",))

    return [
        refused("no token", "unauthenticated", ""),
        refused("a token that is none", "token_malformed", "hello"),
        refused("an expired token", "token_expired", mint(secret, iat=now - 7200, exp=now - 3600)),
        refused("an unsigned token", "token_signature", mint(secret).rsplit(".", 1)[0] + "."),
        refused("alg: none", "token_algorithm", unsigned(secret)),
        refused("a good signature by another algorithm", "token_algorithm", signed_otherwise(secret)),
        refused("a token signed by somebody else", "token_signature", mint("x" * 64)),
        refused("claims changed after signing", "token_signature", tampered(secret)),
        refused("another audience", "token_audience", mint(secret, aud="other-api")),
        refused("another issuer", "token_issuer", mint(secret, iss="mallory")),
        refused("a token from the future", "token_not_yet_valid", mint(secret, nbf=now + 3600)),
        refused("no tenant", "token_claims", mint(secret, tenant=None)),
        refused("a tenant with a wildcard", "token_claims", mint(secret, tenant="*")),
        refused("no expiry", "token_claims", mint(secret, exp=None)),
        refused("a role nobody knows", "token_claims", mint(secret, role="root")),
        refused("an oversized token", "token_too_large", mint(secret, sub="a" * 8_000)),
        Case("a role that may not submit", 403, "forbidden", token=mint(secret, role="observer")),
    ]


def money_and_limits(secret: str) -> list[Case]:
    admin = mint(secret, role="admin")

    def sent(what: str, method: str, path: str, body: object, status: int = 422,
             code: str = "validation_failed", **headers: str) -> Case:
        return Case(what, status, code, method, path, json.dumps(body).encode(), JSON | headers, admin)

    return [
        shape("a part of a task that never was", parent_id=UNKNOWN_TASK),
        shape("a budget of no tokens", budget_tokens=0),
        shape("a callback that is no address", callback_url="javascript:alert(1)"),
        shape("a callback with a password in it", callback_url="https://user:secret@example.com/"),
        sent("settling what is held for a task", "POST", "/budget/release", {"request_id": f"task:{UNKNOWN_TASK}"}),
        sent("a budget below zero", "PUT", "/budget/limits", {"project": "p", "total_limit": -1}),
        sent("limits without the version seen", "PUT", "/admin/rate-limits", {}, 428, "precondition_required"),
        sent("limits that changed meanwhile", "PUT", "/admin/rate-limits", {}, 412, "precondition_failed",
             **{"If-Match": '"999999"'}),
        sent("limits of a role nobody knows", "PUT", "/admin/rate-limits", {"roles": {"root": 5}},
             **{"If-Match": '"0"'}),
        sent("a webhook for events that never happen", "POST", "/webhooks",
             {"url": "https://example.com/", "events": ["task.exploded"]}),
    ]


def routes(secret: str, others_task: str, own_key: str) -> list[Case]:
    """`others_task` belongs to another tenant; `own_key` was used for another body."""

    def get(what: str, path: str, status: int = 404, code: str = "not_found", method: str = "GET") -> Case:
        return Case(what, status, code, method, path, None, {})

    return [
        get("another tenant's task", f"/tasks/{others_task}"),
        get("another tenant's events", f"/tasks/{others_task}/events"),
        get("another tenant's explanation", f"/tasks/{others_task}/explain"),
        Case("cancelling another tenant's task", 404, "not_found", path=f"/tasks/{others_task}/cancel", body=b"{}"),
        get("a task that never was", f"/tasks/{UNKNOWN_TASK}"),
        get("a task id that is none", "/tasks/1%27%20OR%20%271%27=%271"),
        get("a task id with a wildcard", "/tasks/*"),
        get("an unknown route", "/no/such/route"),
        get("a path that climbs", "/tasks/../../etc/passwd"),
        get("an unknown state in a list", "/tasks?state=sleeping", 400, "invalid_query"),
        get("a limit beyond 200", "/tasks?limit=201", 400, "invalid_query"),
        get("a limit that is a text", "/tasks?limit=many", 400, "invalid_query"),
        get("a cursor nobody gave", "/tasks?cursor=abc", 400, "invalid_cursor"),
        get("a parameter nobody knows", "/tasks?surprise=1", 400, "invalid_query"),
        get("a query that is not UTF-8", "/tasks?workflow=%ff", 400, "invalid_query"),
        Case("an unknown method", 405, "method_not_allowed", "DELETE", "/tasks", None, {}, needs=("allow",)),
        Case("a method made up", 400, "request_malformed", "BREW", "/tasks", None, {}),
        Case("a method for another kind of route", 405, "method_not_allowed", "PATCH", "/tasks", None, {}, needs=("allow",)),
        Case("a Last-Event-ID that is a text", 400, "invalid_header", "GET", f"/tasks/{UNKNOWN_TASK}/events", None,
             {"Accept": "text/event-stream", "Last-Event-ID": "abc"}),
        Case("an idempotency key used for another body", 422, "idempotency_mismatch",
             body=b'{"role": "nobody", "input": {"another": true}}', headers=JSON | {"Idempotency-Key": own_key}),
        Case("headers beyond every bound", 431, "headers_too_large", "GET", "/tasks", None,
             {"X-Long": "a" * 60_000}),
    ]
