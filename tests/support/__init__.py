"""What tests share: clients, servers, and the applications that servers run."""
