"""Cloudflare Tunnel, DNS and Access."""
