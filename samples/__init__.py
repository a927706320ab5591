"""Pictures and matrices that the project made itself, and the scripts that make them."""
