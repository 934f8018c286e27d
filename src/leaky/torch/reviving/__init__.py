"""Dead units of a PyTorch network made anew, without a change to what the network computes."""
