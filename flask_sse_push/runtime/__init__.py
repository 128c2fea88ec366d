"""What all rooms stand on: greenlets and threads, pauses between retries, shutdown."""
