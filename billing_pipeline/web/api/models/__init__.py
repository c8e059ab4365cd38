"""What requests and answers hold, field by field: the OpenAPI document is made of it."""
