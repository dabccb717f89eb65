"""Callers from outside the cluster: tokens of OAuth 2 and OpenID Connect issuers."""
