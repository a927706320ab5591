"""What a network does with its numbers, and what it has learned."""
