ALTER TABLE crl_cache DROP COLUMN other_keys, DROP COLUMN other_keys_since;
