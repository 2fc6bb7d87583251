"""Keys of external account binding."""
from contract.config import LONG
from walk import NO, Bad, Good, members, page

KEYS = "/api/v1/acme/eab-keys"
KEY = members("id profile_id? any_profile:b owner_id? description reusable:b status uses:i account_id? expires_at,used_at,revoked_at:t? created_by "
              "created_at:t")
RESEALED = members("resealed:i unopened:l next?")
MADE = KEY | members("hmac_key message")


def made(w):
    return w.api.need("POST", KEYS, {"any_profile": True})["id"]


GOOD = {
    ("GET", KEYS): [page(KEY, lambda w: made(w) and "")],
    ("POST", KEYS): [Good("", {"any_profile": True, "reusable": True, "description": "x", "expires_at": "2099-01-01T00:00:00Z"}, 201, MADE),
                     Good("", lambda w: {"profile_id": w.make("profiles"), "owner_id": "o-test"}, 201, MADE)],
    ("GET", f"{KEYS}/{{id}}"): [Good(made, None, 200, KEY)],
    ("POST", f"{KEYS}/{{id}}/revoke"): [Good(made, None, 200, KEY)],
    ("POST", f"{KEYS}/reseal"): [Good("", None, 200, RESEALED), Good("", lambda w: {"after": made(w)}, 200, RESEALED)],
    ("DELETE", f"{KEYS}/{{id}}"): [Good(made, None, 204)],
}
BAD = {
    ("POST", KEYS): [Bad("", {"any_profile": True} | more, 400) for more in (
        {"profile_id": NO}, {"any_profile": False}, {"owner_id": NO}, {"description": LONG}, {"reusable": 1}, {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": "soon"})] + [Bad("", {"profile_id": NO}, 400)],
    ("GET", f"{KEYS}/{{id}}"): [Bad(NO, None, 404)],
    ("POST", f"{KEYS}/{{id}}/revoke"): [Bad(NO, None, 404)],
    ("POST", f"{KEYS}/reseal"): [Bad("", {"after": 1}, 400), Bad("", {"after": "x" * 129}, 400), Bad("", [], 400)],
    ("DELETE", f"{KEYS}/{{id}}"): [Bad(NO, None, 404)],
}
