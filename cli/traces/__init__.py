"""What `drover trace` shows."""
