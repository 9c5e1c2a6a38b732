"""What every gradient job does: steps, schedule, loss of an answer, checkpoints that a run is continued from."""
