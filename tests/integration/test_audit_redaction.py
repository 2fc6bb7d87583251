"""
What the details of an event show of secrets and persons, whoever writes it: by the
key, in any letter case, at any depth.
"""
import json

import pytest

NOT_SANITIZED = "PostgreSQL alone works"
HIDDEN, PERSON = "[REDACTED:CREDENTIAL]", "[REDACTED:PII]"
# Of the contract.
CREDENTIALS = """api_key apikey password passphrase secret client_secret token access_token refresh_token bootstrap_token credential credentials
    private_key privatekey private_key_pem key_pem cert_pem chain_pem full_pem eab_secret eab_kid acme_account_key hmac hmac_key signature auth
    authorization bearer""".split()
PERSONS = """email email_address phone phone_number telephone ssn social_security dob date_of_birth name full_name first_name last_name surname address
    street street_address city postal_code zip zipcode ip ip_address""".split()


def stored(cursor, details):
    cursor.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id, details) VALUES ('a', 'User', 'x', 'x', 'x', %s) "
                   "RETURNING details", (None if details is None else json.dumps(details),))
    return cursor.fetchone()[0]


@pytest.mark.parametrize("key, shown", [(k, HIDDEN) for k in CREDENTIALS] + [(k, PERSON) for k in PERSONS])
def test_a_key_hides_its_value(cursor, key, shown):
    for spelt in (key, key.upper(), key.title()):
        for value in ("v", 7, None, {"a": "v"}, ["v"]):
            assert stored(cursor, {spelt: value, "kept": "k"}) == {spelt: shown, "kept": "k", "redacted_keys": [spelt]}


@pytest.mark.parametrize("details, expected", [
    ({"a": {"b": [{"Token": "v"}, {"c": 1}]}}, {"a": {"b": [{"Token": HIDDEN}, {"c": 1}]}, "redacted_keys": ["Token"]}),
    ({"ip": "v", "a": [[{"ip": "v", "secret": {"password": "v"}}]]}, {"ip": PERSON, "a": [[{"ip": PERSON, "secret": HIDDEN}]],
                                                                     "redacted_keys": ["ip", "secret"]}),
    ([{"hmac": "v"}], [{"hmac": HIDDEN}, {"redacted_keys": ["hmac"]}]),
])
def test_whatever_lies_around_it(cursor, details, expected):
    assert stored(cursor, details) == expected


@pytest.mark.parametrize("details", [None, {}, [], "token", {"a": "password", "b": ["secret"]}, {"token_id": "t", "my_name": "n", "secrets": 1},
                                     {"a": '"password": "x"', "n": None}, {"resource_name": "web"}])
def test_what_is_no_such_key_stays(cursor, details):
    assert stored(cursor, details) == details
