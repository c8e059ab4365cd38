"""Whether a text is an e-mail address, as the package email-validator says. Nothing is looked up in DNS.

In ASCII: neither Stripe nor every mail server takes other letters (RFC 6531); a domain of such is written `xn--…`.
"""

from email_validator import EmailNotValidError, validate_email


def is_email(text: str) -> bool:
    """Whether mail can be addressed so from anywhere; whether somebody reads it there only a message can tell."""
    if not text.isascii():
        return False
    try:
        validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError:
        return False
    return True
