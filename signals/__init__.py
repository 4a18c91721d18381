"""What happened, and what it implies: notes become events, events become scores."""
