"""The REST API: it parses, authorises, calls the operation of a room that the command calls too, and shows."""
