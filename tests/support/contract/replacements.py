"""Replacements of one issuer by another."""
from walk import NO, Bad, Good, members, page

ALL = "/api/v1/replacements"
ONE = members("id from_issuer_id to_issuer_id state stop? wave_size,wave,waves,planned,moved,moving,waiting,failed,issued,done,skipped,returned:i "
              "is_settled:b revoke_reason? rate_per_s:f ends_at:t? created_by created_at,updated_at:t ended_at:t?")
PLAN = members("from_issuer_id to_issuer_id stop? open_id? lane:o rate_per_s:f rate_is_lane:b waiting,cannot_go,wave_ends:l "
               "excluded,certificates,wave_size,waves,seconds:i deadline:o?")
EXCLUDED = members("id reason")
ITEM = members("id state reason? moved_at:t")


def wish(w, **more):
    """Of two issuers that nobody else uses."""
    return {end: w.make("issuers", type="GenericCA") for end in ("from_issuer_id", "to_issuer_id")} | more


def keyless(w):
    """Of an issuer with a certificate that could not go: its key is nobody's."""
    new = wish(w)
    w.certificate(issuer_id=new["from_issuer_id"])
    return new


def begun(w):
    """One that does not end by itself: nothing moves to an issuer that is off."""
    new = wish(w)
    one = w.api.need("POST", ALL, new)["id"]
    w.fleet.query("UPDATE issuers SET enabled = false WHERE id = %s", new["to_issuer_id"])
    w.fleet.query("UPDATE replacements SET state = 'running', ended_at = NULL, is_walked = false WHERE id = %s", one)
    return one


def stayed(w):
    """Its certificate has no target: it cannot go."""
    new = wish(w)
    w.certificate(issuer_id=new["from_issuer_id"])
    one = w.api.need("POST", ALL, new)["id"]
    w.fleet.query("INSERT INTO replacement_items (replacement_id, certificate_id, state, reason, moved_at, look_after) "
                  "VALUES (%s, 'mc-x', 'skipped', 'no_key_holder', now(), now())", one)
    w.fleet.query("UPDATE replacements SET skipped = 1 WHERE id = %s", one)
    return [one]


def ended(w):
    one = begun(w)
    w.fleet.query("UPDATE replacements SET state = 'cancelled', ended_at = now() WHERE id = %s", one)
    return one


REFUSED = [{"from_issuer_id": 1}, {"wave_size": 0}, {"wave_size": 100001}, {"wave_size": "x"}, {"revoke_reason": "because"}, {"revoke_reason": 1},
           {"move_profiles": "x"}, {"to_issuer_id": "../x"}]
TURNS = [("POST", f"{ALL}/{{id}}/{how}") for how in ("pause", "resume", "cancel")]
GOOD = {
    ("GET", ALL): [page(ONE, lambda w: begun(w) and "")],
    ("POST", ALL): [Good("", wish, 201, ONE), Good("", lambda w: wish(w, wave_size=7, revoke_reason="superseded", move_profiles=True), 201, ONE)],
    ("POST", f"{ALL}/plan"): [Good("", wish, 200, PLAN), Good("", lambda w: wish(w, wave_size=7, revoke_reason="superseded", move_profiles=True,
                                                                                within_seconds=60), 200, PLAN)],
    ("POST", f"{ALL}/plan/certificates"): [Good("", keyless, 200, EXCLUDED, rows="data")],
    ("GET", f"{ALL}/{{id}}"): [Good(begun, None, 200, ONE)],
    ("GET", f"{ALL}/{{id}}/certificates"): [page(ITEM, stayed)],
} | {turn: [Good(begun, None, 200, ONE)] for turn in TURNS}
BAD = {
    (method, path): [Bad("", lambda w, more=more: wish(w, **more), 400) for more in REFUSED]
    + [Bad("", lambda w: wish(w, to_issuer_id=NO), 404), Bad("", lambda w: wish(w, from_issuer_id=NO), 404), Bad("", {}, 400)]
    for method, path in (("POST", ALL), ("POST", f"{ALL}/plan"))
} | {
    ("POST", f"{ALL}/plan/certificates"): [Bad("", lambda w, more=more: wish(w, **more), 400)
                                           for more in ({"from_issuer_id": 1}, {"reason": 1}, {"after": "../x"}, {"move_profiles": "x"})]
    + [Bad("", lambda w: wish(w, to_issuer_id=NO), 404), Bad("", lambda w: wish(w, from_issuer_id=NO), 404), Bad("", {}, 400)],
} | {
    ("GET", f"{ALL}/{{id}}"): [Bad(NO, None, 404)],
    ("GET", f"{ALL}/{{id}}/certificates"): [Bad(NO, None, 404)],
} | {turn: [Bad(NO, None, 404), Bad(ended, None, 409)] for turn in TURNS}
