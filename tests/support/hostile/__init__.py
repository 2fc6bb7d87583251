"""
Tables of hostile requests to the ACME server (RFC 8555, 8737, 8738, 9773), and the
world that they are sent into: test_acme_hostile.py sends each of them.
"""
