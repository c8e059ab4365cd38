"""Outside systems, one module each. Nothing else imports their libraries; no billing rule belongs here."""
