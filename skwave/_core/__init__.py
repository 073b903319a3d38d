"""What every topic shares: arrays, checks, batches, the face of transformers, drawing."""
