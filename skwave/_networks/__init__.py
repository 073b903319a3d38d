"""Training, persistence, random numbers and layers of the networks of several topics."""
