"""What a run shows of itself: TensorBoard's files while it runs, and one page of HTML at its end."""
