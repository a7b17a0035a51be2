"""Mail from mail servers: the LMTP and SMTP listener, and the client behind `ingestd deliver`.

Import the modules: `pipe` starts once per mail and must not drag the listener in.
"""
