"""The family of rules on proxies: nobody else may say who a client is."""
