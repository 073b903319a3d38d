"""Arrays, checks, batches, progress, drawing, and the base class that all topics share."""
