"""What backends share that ask a server: its address, health and failures, the order and the quarantine of requests."""
