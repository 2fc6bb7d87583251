-- Of a list that a CA outside made: which certificates in use are by another key of that CA, for people, and since when that is so.
ALTER TABLE crl_cache ADD COLUMN other_keys text, ADD COLUMN other_keys_since timestamptz;
