"""Numbers, alerts and dashboards, and who reads them."""
