"""What an event is and what it means for our charge. Pure."""
